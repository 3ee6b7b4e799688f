"""The statements of `teams.bulk`, in the order in which they run.

`said_…` holds what was said, `touched` the users whose access may change and whether they were just deactivated,
`changed…` what differs from what is on record.
"""

from teams.evidence import LOG

# The joins below are of hundreds of thousands of rows, and would go to the disk with the server's own setting.
TABLES = """
    SET LOCAL work_mem = '64MB';
    DROP TABLE IF EXISTS
        said_group, said_person, said_member, known_group, known_person, touched, changed_member, changed;
    CREATE TEMPORARY TABLE said_group (no integer, external_id text, name text) ON COMMIT DROP;
    CREATE TEMPORARY TABLE said_person (no integer, subject text, name text, email text, active boolean) ON COMMIT DROP;
    CREATE TEMPORARY TABLE said_member (group_no integer, person_no integer, external_id text) ON COMMIT DROP;
    CREATE TEMPORARY TABLE touched (user_id bigint, deactivated boolean DEFAULT false) ON COMMIT DROP;
"""

ANALYZE = "ANALYZE said_group, said_person, said_member"

# Of a group about which something newer is known the name is older, too.
GROUPS = """
    WITH renamed AS (
        UPDATE teams_group g SET name = said.name FROM said_group said
        WHERE g.source = %(source)s AND g.external_id = said.external_id AND said.name <> '' AND g.name <> said.name
          AND NOT g.external_id = ANY(%(except_groups)s::text[])
        RETURNING g.id
    ), fresh AS (
        INSERT INTO teams_group (source, external_id, name)
        SELECT %(source)s, said.external_id, said.name FROM said_group said
        WHERE NOT EXISTS (SELECT FROM teams_group g WHERE g.source = %(source)s AND g.external_id = said.external_id)
          AND NOT said.external_id = ANY(%(except_groups)s::text[])
        ORDER BY said.external_id
        ON CONFLICT DO NOTHING
    )
    INSERT INTO touched (user_id)
    SELECT gm.user_id FROM teams_groupmembership gm JOIN renamed ON renamed.id = gm.group_id
"""

# Numbers and keys of people and groups: the many joins below are of these. Who is known by the source and no longer
# described is gone, whatever groups still name them.
KNOWN = """
    CREATE TEMPORARY TABLE known_person ON COMMIT DROP AS
    SELECT said.no, u.id AS user_id, said.subject = ANY(%(except)s::text[]) AS is_excepted,
           %(complete)s AND said.active IS NULL AND u.known_by = %(source)s AS is_gone
    FROM said_person said
    JOIN teams_user u ON u.realm = %(realm)s AND u.subject = said.subject;
    CREATE TEMPORARY TABLE known_group ON COMMIT DROP AS
    SELECT said.no, g.id AS group_id FROM said_group said
    JOIN teams_group g ON g.source = %(source)s AND g.external_id = said.external_id
    WHERE NOT said.external_id = ANY(%(except_groups)s::text[]);
    ANALYZE known_person, known_group
"""

CREATE = """
    WITH wanted AS (
        SELECT said.* FROM said_person said
        WHERE said.active AND NOT said.subject = ANY(%(except)s::text[])
          AND NOT EXISTS (SELECT FROM known_person k WHERE k.no = said.no)
          AND EXISTS (SELECT FROM said_member m WHERE m.person_no = said.no)
    ), fresh AS (
        INSERT INTO teams_user (realm, subject, username, name, email, role, is_active, session_epoch, created_at,
                                password, known_by, deactivated_by)
        SELECT %(realm)s, subject,
               CASE WHEN %(realm)s = %(default)s AND position('/' IN subject) = 0 THEN subject
                    ELSE %(realm)s || '/' || subject END,
               name, email, '', true, 0, %(now)s,
               -- No password: Django's mark of one that cannot be used.
               '!' || substr(md5(random()::text) || md5(random()::text), 1, 40), %(source)s, ''
        FROM wanted
        ON CONFLICT DO NOTHING
        RETURNING id, subject, username
    ), told AS (
        INSERT INTO teams_auditevent
            (at, action, outcome, actor, target, team, request_id, aws_request_id, reason, data)
        SELECT %(now)s, 'user_created', 'success', %(actor)s, username, '', %(request)s, '', '',
               jsonb_build_object('source', %(source)s::text)
        FROM fresh
    ), noted AS (
        INSERT INTO known_person (no, user_id, is_excepted, is_gone)
        SELECT wanted.no, fresh.id, false, false FROM fresh JOIN wanted USING (subject)
    )
    SELECT count(*) FROM fresh
"""

# Answers how many were deactivated and how many activated again; whoever was is in `touched` then.
PEOPLE = """
    WITH judged AS (
        SELECT u.id, u.username, coalesce(nullif(said.name, ''), u.name) AS name,
               coalesce(nullif(said.email, ''), u.email) AS email,
               -- Who vanished is judged like who is switched off there.
               coalesce(said.active, false) AS active, said.active IS NOT NULL AS named,
               u.is_active, u.deactivated_by
        FROM teams_user u
        LEFT JOIN said_person said ON said.subject = u.subject
        WHERE u.realm = %(realm)s
          AND (said.active IS NOT NULL OR (%(complete)s AND u.known_by = %(source)s))
          AND NOT u.subject = ANY(%(except)s::text[])
          AND ((said.active IS NULL AND u.is_active)
               OR (said.name <> '' AND u.name <> said.name) OR (said.email <> '' AND u.email <> said.email)
               OR u.known_by <> %(source)s OR (u.is_active AND NOT said.active)
               OR (said.active AND NOT u.is_active AND u.deactivated_by = %(source)s))
    ), changed AS (
        UPDATE teams_user u
        SET name = judged.name, email = judged.email,
            known_by = CASE WHEN judged.named THEN %(source)s ELSE u.known_by END,
            is_active = CASE WHEN NOT judged.active THEN false
                             WHEN judged.deactivated_by = %(source)s THEN true ELSE u.is_active END,
            deactivated_by = CASE WHEN NOT judged.active AND judged.is_active THEN %(source)s
                                  WHEN judged.active AND judged.deactivated_by = %(source)s THEN ''
                                  ELSE u.deactivated_by END,
            session_epoch = u.session_epoch + CASE WHEN NOT judged.active AND judged.is_active THEN 1 ELSE 0 END
        FROM judged
        WHERE u.id = judged.id
        RETURNING u.id, judged.username, judged.named,
                  CASE WHEN judged.is_active AND NOT judged.active THEN 'user_deactivated'
                       WHEN judged.active AND NOT judged.is_active AND judged.deactivated_by = %(source)s
                       THEN 'user_reactivated' END AS action
    ), told AS (
        INSERT INTO teams_auditevent
            (at, action, outcome, actor, target, team, request_id, aws_request_id, reason, data)
        SELECT %(now)s, action, 'success', %(actor)s, username, '', %(request)s, '',
               CASE WHEN action = 'user_reactivated' THEN '' WHEN named THEN 'inactive at the source'
                    ELSE 'unknown to the source' END,
               jsonb_build_object('source', %(source)s::text)
        FROM changed WHERE action IS NOT NULL
    ), noted AS (
        INSERT INTO touched SELECT id, action = 'user_deactivated' FROM changed WHERE action IS NOT NULL
    )
    SELECT count(*) FILTER (WHERE action = 'user_deactivated'), count(*) FILTER (WHERE action = 'user_reactivated')
    FROM changed
"""

# Who is neither on record nor described; who is inactive is not made, and no riddle.
UNKNOWN_MEMBERS = """
    SELECT count(*) FROM said_member m
    JOIN said_person said ON said.no = m.person_no AND said.active IS NOT FALSE
    WHERE NOT EXISTS (SELECT FROM known_person k WHERE k.no = m.person_no)
"""

# A member that is said twice matches twice, which matters only where something differs.
COMPARE_MEMBERS = """
    CREATE TEMPORARY TABLE changed_member ON COMMIT DROP AS
    WITH wanted AS (
        SELECT p.user_id, g.group_id, m.external_id
        FROM said_member m
        JOIN known_group g ON g.no = m.group_no
        JOIN known_person p ON p.no = m.person_no AND NOT p.is_excepted AND NOT p.is_gone
    ), have AS (
        SELECT gm.id, gm.user_id, gm.group_id, gm.external_id, gm.valid_until
        FROM teams_groupmembership gm
        WHERE gm.group_id IN (
            SELECT id FROM teams_group g
            WHERE g.source = %(source)s
              AND (%(complete)s OR g.external_id IN (SELECT external_id FROM said_group))
              AND NOT g.external_id = ANY(%(except_groups)s::text[])
        )
          AND (cardinality(%(except)s::text[]) = 0 OR NOT EXISTS (
              SELECT FROM teams_user u WHERE u.id = gm.user_id AND u.subject = ANY(%(except)s::text[])
          ))
    ), compared AS (
        SELECT have.id, coalesce(have.user_id, wanted.user_id) AS user_id,
               coalesce(have.group_id, wanted.group_id) AS group_id, wanted.external_id,
               CASE WHEN have.id IS NULL THEN 'added'
                    WHEN wanted.user_id IS NULL THEN 'removed' ELSE 'renewed' END AS change
        FROM have FULL JOIN wanted ON wanted.user_id = have.user_id AND wanted.group_id = have.group_id
        WHERE have.id IS NULL OR wanted.user_id IS NULL OR have.valid_until IS NOT NULL
           OR have.external_id <> wanted.external_id
    )
    SELECT DISTINCT ON (user_id, group_id) * FROM compared ORDER BY user_id, group_id, external_id
"""

WRITE_MEMBERS = """
    WITH gone AS (
        DELETE FROM teams_groupmembership gm USING changed_member c WHERE gm.id = c.id AND c.change = 'removed'
    ), renewed AS (
        UPDATE teams_groupmembership gm SET external_id = c.external_id, valid_until = NULL
        FROM changed_member c WHERE gm.id = c.id AND c.change = 'renewed'
    ), fresh AS (
        INSERT INTO teams_groupmembership (user_id, group_id, since, valid_until, external_id)
        SELECT user_id, group_id, %(now)s, NULL, external_id FROM changed_member WHERE change = 'added'
    )
    INSERT INTO touched (user_id) SELECT DISTINCT user_id FROM changed_member
"""

CHANGE_MEMBERS = """
    WITH place AS (
        SELECT id FROM teams_group WHERE source = %(source)s AND external_id = %(group)s
    ), gone AS (
        DELETE FROM teams_groupmembership gm USING place
        WHERE gm.group_id = place.id AND gm.user_id = ANY(%(left)s::bigint[])
    ), fresh AS (
        INSERT INTO teams_groupmembership (user_id, group_id, since, valid_until, external_id)
        SELECT u.id, place.id, %(now)s, NULL, '' FROM place, teams_user u WHERE u.id = ANY(%(joined)s::bigint[])
        ON CONFLICT (user_id, group_id) DO UPDATE SET valid_until = NULL
    )
    INSERT INTO touched (user_id) SELECT unnest(%(joined)s::bigint[] || %(left)s::bigint[])
"""

EMPTY = """
    WITH gone AS (
        DELETE FROM teams_groupmembership gm USING teams_group g
        WHERE g.id = gm.group_id AND g.source = %(source)s AND g.external_id = %(group)s
        RETURNING gm.user_id
    )
    INSERT INTO touched (user_id) SELECT user_id FROM gone
"""

# Wanted evidence of this source, for whoever is touched; evidence of others only where it has run out.
COMPARE_EVIDENCE = """
    CREATE TEMPORARY TABLE changed ON COMMIT DROP AS
    WITH people AS MATERIALIZED (SELECT DISTINCT user_id FROM touched),
    paired AS MATERIALIZED (
        SELECT g.id AS group_id, m.id AS mapping_id, m.team_id
        FROM teams_group g
        JOIN teams_rolemapping m ON m."group" = g.external_id AND m.source IN ('', g.source)
        WHERE g.source = %(source)s
        UNION
        SELECT g.id, m.id, m.team_id
        FROM teams_group g
        JOIN teams_rolemapping m ON m."group" = g.name AND m."group" <> '' AND m.source IN ('', g.source)
        WHERE g.source = %(source)s
    ), wanted AS (
        SELECT gm.user_id, paired.team_id, paired.group_id, paired.mapping_id, gm.valid_until
        FROM teams_groupmembership gm
        JOIN paired ON paired.group_id = gm.group_id
        JOIN people ON people.user_id = gm.user_id
        WHERE gm.valid_until IS NULL OR gm.valid_until > %(now)s
    ), have AS (
        SELECT h.* FROM teams_membership h JOIN people ON people.user_id = h.user_id
        WHERE h.source = %(source)s AND h.mapping_id IS NOT NULL
    ), compared AS MATERIALIZED (
        SELECT h.id, coalesce(h.user_id, w.user_id) AS user_id, coalesce(h.team_id, w.team_id) AS team_id,
               coalesce(h.group_id, w.group_id) AS group_id, coalesce(h.mapping_id, w.mapping_id) AS mapping_id,
               w.valid_until, h.valid_until AS until,
               CASE WHEN h.id IS NULL THEN 'added'
                    WHEN w.user_id IS NULL AND h.valid_until <= %(now)s THEN 'expired'
                    WHEN w.user_id IS NULL THEN 'removed'
                    WHEN h.valid_until <= %(now)s THEN 'again'
                    WHEN h.valid_until IS DISTINCT FROM w.valid_until THEN 'renewed'
                    ELSE 'kept' END AS change
        FROM have h
        FULL JOIN wanted w ON w.user_id = h.user_id AND w.group_id = h.group_id AND w.mapping_id = h.mapping_id
                          AND w.team_id = h.team_id
    ), standing AS (
        SELECT DISTINCT user_id, team_id FROM compared WHERE change IN ('kept', 'renewed')
        UNION
        SELECT o.user_id, o.team_id FROM teams_membership o JOIN people ON people.user_id = o.user_id
        WHERE (o.source <> %(source)s OR o.mapping_id IS NULL) AND (o.valid_until IS NULL OR o.valid_until > %(now)s)
    )
    SELECT compared.*, %(source)s::text AS source, standing.user_id IS NOT NULL AS kept
    FROM compared LEFT JOIN standing USING (user_id, team_id)
    WHERE compared.change <> 'kept'
"""

WRITE_EVIDENCE = """
    WITH gone AS (
        DELETE FROM teams_membership USING changed
        WHERE teams_membership.id = changed.id AND changed.change IN ('removed', 'expired')
    ), renewed AS (
        UPDATE teams_membership
        SET valid_until = changed.valid_until,
            since = CASE changed.change WHEN 'again' THEN %(now)s ELSE teams_membership.since END
        FROM changed WHERE teams_membership.id = changed.id AND changed.change IN ('renewed', 'again')
    ), fresh AS (
        INSERT INTO teams_membership (user_id, team_id, source, group_id, mapping_id, since, valid_until)
        SELECT user_id, team_id, source, group_id, mapping_id, %(now)s, valid_until FROM changed WHERE change = 'added'
    )
    {log}
""".replace("{log}", LOG)

LOSING = """
    SELECT user_id FROM changed WHERE change = 'removed'
    UNION
    SELECT user_id FROM touched WHERE deactivated
"""

COUNTS = """
    SELECT count(*) FILTER (WHERE change IN ('added', 'again')),
           count(*) FILTER (WHERE change IN ('removed', 'expired')),
           count(DISTINCT user_id) FILTER (WHERE change IN ('added', 'again')),
           (SELECT count(*) FROM ({losing}) AS losing)
    FROM changed
""".replace("{losing}", LOSING)

# What was written just now began just now.
PEOPLE_BEFORE = """
    SELECT count(*) FROM (
        SELECT h.user_id FROM teams_membership h WHERE h.source = %(source)s AND h.since < %(now)s
        UNION
        {losing}
    ) AS people
""".replace("{losing}", LOSING)

LINES = """
    SELECT c.change, u.username, t.slug, coalesce(nullif(g.name, ''), g.external_id)
    FROM changed c
    JOIN teams_user u ON u.id = c.user_id
    JOIN teams_team t ON t.id = c.team_id
    JOIN teams_group g ON g.id = c.group_id
    WHERE c.change IN ('added', 'removed', 'expired', 'again')
    UNION ALL
    SELECT DISTINCT 'deactivated', u.username, '', ''
    FROM touched JOIN teams_user u ON u.id = touched.user_id
    WHERE touched.deactivated
    ORDER BY 1 DESC, 2, 3, 4
    LIMIT %(limit)s
"""

VANISHED = """
    DELETE FROM teams_group g
    WHERE g.source = %(source)s AND NOT EXISTS (SELECT FROM said_group s WHERE s.external_id = g.external_id)
      AND NOT g.external_id = ANY(%(except_groups)s::text[])
      AND NOT EXISTS (SELECT FROM teams_groupmembership gm WHERE gm.group_id = g.id)
      AND NOT EXISTS (SELECT FROM teams_membership h WHERE h.group_id = g.id)
      AND NOT EXISTS (SELECT FROM teams_scimgroup s WHERE s.group_id = g.id)
"""
