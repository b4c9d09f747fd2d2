//! The tables: made when they are not there, left alone when they are.
//!
//! Every statement runs on ScyllaDB and on Apache Cassandra from 4.1. Rows of `journal` and `partition_lease` are written by
//! conditional updates only; those of the other tables never are. The two must not meet in one table: plain writes carry
//! clocks, conditional ones carry ballots.

use super::options::Options;

/// Version of what is in the tables. A higher one is refused. Until version 2 closed orders were rows under their bare ids, so that a
/// build of then would not find those of today.
pub(super) const VERSION: i32 = 2;
pub(super) const OLDEST: i32 = 1;

/// Asks which tables a keyspace has.
pub(super) const NAMES: &str = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";

/// What the tables are called.
pub(super) fn tables() -> impl Iterator<Item = &'static str> {
    TABLES.into_iter().map(|(name, _)| name)
}

/// The statements that make the keyspace and its tables, in order.
pub fn statements(options: &Options) -> Vec<String> {
    let Options { keyspace, replication, local_dc, keyspace_options, .. } = options;
    let factor = if local_dc.is_empty() { "replication_factor" } else { local_dc };
    let keyspace_made = format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
         {{'class': 'NetworkTopologyStrategy', '{factor}': {replication}}} {keyspace_options}"
    );
    let tables = TABLES.map(|(name, columns)| format!("CREATE TABLE IF NOT EXISTS {keyspace}.{name} ({columns})"));
    [keyspace_made.trim_end().to_owned()].into_iter().chain(tables).collect()
}

/// The same as text for people.
pub fn cql(options: &Options) -> String {
    statements(options).iter().map(|statement| format!("{statement};\n")).collect::<Vec<_>>().join("\n")
}

const TABLES: [(&str, &str); 5] = [
    // What is fixed when the data is created: one row.
    ("layout", "id int PRIMARY KEY, version int, partitions int"),
    // Who owns each partition, where its log may end, and its two newest snapshots.
    (
        "partition_lease",
        "partition_id int PRIMARY KEY, epoch bigint, owner uuid, addr text, seg_hint int, kept_seg int, snap_id uuid, prev_snap_id uuid",
    ),
    // One row a batch. The static columns are the fence: see `fencing`.
    (
        "journal",
        "partition_id int, seg int, seq bigint, epoch bigint static, next bigint static, closed boolean static, \
         events int, body blob, PRIMARY KEY ((partition_id, seg), seq)",
    ),
    // Snapshots in pieces, so that no cell and no CQL partition grows large.
    ("snap_chunk", "partition_id int, snap_id uuid, part int, n int, body blob, PRIMARY KEY ((partition_id, snap_id, part), n)"),
    // Rows of a group lie side by side in order of their key.
    ("projection", "kind int, grp blob, key blob, value blob, PRIMARY KEY ((kind, grp), key)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_names_keyspace_replicas_and_data_centre() {
        let options = Options { keyspace: "shop".to_owned(), local_dc: "dc1".to_owned(), replication: 5, ..Options::default() };
        let text = cql(&options);
        assert!(
            text.contains(
                "CREATE KEYSPACE IF NOT EXISTS shop WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 5};"
            )
        );
        assert_eq!(text.matches("CREATE TABLE IF NOT EXISTS shop.").count(), TABLES.len());
    }
}
