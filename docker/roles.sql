-- The roles and databases that are missing, and every role's password as the environment has it.
-- Run by psql as the superuser, with ON_ERROR_STOP; running it again changes nothing.
\getenv publisher_password CREDITRISK_PUBLISHER_PASSWORD
\getenv service_password CREDITRISK_SERVICE_PASSWORD
\getenv reader_password CREDITRISK_READER_PASSWORD
\getenv airflow_password AIRFLOW_DATABASE_PASSWORD

SELECT format('CREATE ROLE %I LOGIN', role)
FROM (VALUES ('creditrisk_publisher'), ('creditrisk_service'), ('creditrisk_reader'), ('airflow')) AS wanted (role)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
\gexec
ALTER ROLE creditrisk_publisher PASSWORD :'publisher_password';
ALTER ROLE creditrisk_service PASSWORD :'service_password';
ALTER ROLE creditrisk_reader PASSWORD :'reader_password';
ALTER ROLE airflow PASSWORD :'airflow_password';

SELECT format('CREATE DATABASE %I OWNER %I', name, owner)
FROM (VALUES ('creditrisk', 'creditrisk_publisher'), ('airflow', 'airflow')) AS wanted (name, owner)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
\gexec
REVOKE ALL ON DATABASE creditrisk, airflow FROM PUBLIC;
GRANT CONNECT ON DATABASE creditrisk TO creditrisk_service, creditrisk_reader;
