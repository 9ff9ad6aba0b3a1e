"""The SQL that makes the group roles (DESIGN §8). They have no login and no password: a login becomes a member of one.

Never fails an upgrade: a login that may not make roles goes on without, and `stockfeed db roles` says what is missing.
"""

# Roles belong to the whole server: another database of it may have made them already, perhaps at this very moment.
CREATE_ROLES = """
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['stockfeed_ingest', 'stockfeed_publisher', 'stockfeed_readonly'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION
            WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN
                RAISE NOTICE 'the role % was not made here: %', wanted, SQLERRM;
        END;
    END LOOP;
END
$$
"""
