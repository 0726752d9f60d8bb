"""What PostgreSQL's ANALYZE may keep of a catalog's columns.

For its plans it copies values out of every column, the most common ones and the bounds of a histogram, into `pg_statistic`, where they
outlive the rows that they came from: a table that is empty keeps its last samples. So columns that hold words are not sampled at all. Names
are: keys, ids and hashes, by which rows are looked up. Plans need no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy import Connection

_WORDS: Final = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS type,
       coalesce(a.attstattarget, -1) <> 0 AS wanted, s.attname IS NOT NULL AS sampled
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_stats AS s ON s.schemaname = :schema AND s.tablename = c.relname AND s.attname = a.attname
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = :schema) AND c.relkind = 'r'
  AND t.typcategory NOT IN ('B', 'D', 'N', 'T')
  AND a.attname <> 'id' AND a.attname NOT LIKE '%\\_id' AND a.attname NOT LIKE '%\\_hash'
  AND NOT EXISTS (SELECT 1 FROM pg_constraint AS k
                  WHERE k.conrelid = c.oid AND k.contype IN ('p', 'f') AND a.attnum = ANY (k.conkey))
  AND (coalesce(a.attstattarget, -1) <> 0 OR s.attname IS NOT NULL)
ORDER BY c.relname, a.attnum
"""


def keep_no_samples(db: Connection, schema: str) -> int:
    """Stop ANALYZE from sampling the schema's columns that hold words, and drop the samples there are; return how many columns changed.

    To be called where tables are made. Done again, it changes nothing and locks nothing. Dropped samples stay in dead rows of `pg_statistic`
    until that is written anew, which `rag.erasure.postgres` does.
    """
    from sqlalchemy import text

    quote = db.dialect.identifier_preparer.quote_identifier
    found = db.execute(text(_WORDS), {"schema": schema}).all()
    for table, column, kind, wanted, sampled in found:
        changes = [f"ALTER {quote(column)} SET STATISTICS 0"] if wanted else []
        if sampled:  # to the type it has: nothing is written anew, but what was known of its values is dropped
            changes.append(f"ALTER {quote(column)} TYPE {kind}")
        for change in changes:
            db.exec_driver_sql(f"ALTER TABLE {quote(schema)}.{quote(table)} {change}")
    return len(found)
