//! Statements on `nodes`.

/// The columns that make a node, of a table called `n`.
macro_rules! node_columns {
    () => {
        "n.id, n.tenant, n.parent, n.name, n.version, n.size, n.sha256, n.content_type, n.segments, n.created_at, \
         n.modified_at, n.attributes, n.created_by, n.classification, n.tags"
    };
}

macro_rules! node_statements {
    (connection: $connection:ty, nil: $nil:literal, json: $json:literal, update: $update:literal, key_share: $key_share:literal) => {
        use causeway_core::records::{Actor, Attributes, Micros, Node};
        use uuid::Uuid;

        use crate::ledger::driver::{Driver, Outcome, values};
        use crate::ledger::rows::{NodeTexts, json};
        use crate::ledger::statements::{node_columns, within};

        type Connection = $connection;

        pub(super) async fn walk(connection: &mut Connection, tenant: &str, names: &[&str]) -> Outcome<Vec<Node>> {
            let sql = concat!(
                "WITH RECURSIVE way (depth, id) AS (SELECT 0, id FROM nodes WHERE parent = ", $nil, " AND name = $1 ",
                "UNION ALL SELECT way.depth + 1, c.id FROM way JOIN nodes c ON c.parent = way.id AND c.name = (",
                $json, " ->> way.depth)) SELECT ", node_columns!(), " FROM way JOIN nodes n ON n.id = way.id ORDER BY way.depth"
            );
            connection.all(sql, &values![tenant, &json(names)?]).await
        }

        pub(super) async fn node(connection: &mut Connection, reach: Option<&str>, id: Uuid) -> Outcome<Option<Node>> {
            let sql = concat!("SELECT ", node_columns!(), " FROM nodes n WHERE n.id = $1", within!("n.", "$2"));
            connection.first(sql, &values![id, reach]).await
        }

        /// Paths end at 4,096 bytes, so a way up that is longer goes in a circle.
        pub(super) async fn ancestry(
            connection: &mut Connection,
            reach: Option<&str>,
            id: Uuid,
        ) -> Outcome<Vec<(Uuid, String)>> {
            let sql = concat!(
                "WITH RECURSIVE up (depth, id, name, parent) AS (SELECT 0, id, name, parent FROM nodes WHERE id = $1",
                within!("", "$2"),
                " UNION ALL SELECT up.depth + 1, n.id, n.name, n.parent FROM up JOIN nodes n ON n.id = up.parent \
                 WHERE up.depth < 4096) SELECT id, name, parent FROM up ORDER BY depth DESC"
            );
            let rows: Vec<(Uuid, String, Uuid)> = connection.all(sql, &values![id, reach]).await?;
            // Whatever does not end at a root hangs in no tenant's tree.
            if rows.first().is_none_or(|(_, _, parent)| !parent.is_nil()) {
                return Ok(Vec::new());
            }
            Ok(rows.into_iter().map(|(id, name, _)| (id, name)).collect())
        }

        pub(super) async fn child(
            connection: &mut Connection,
            reach: Option<&str>,
            parent: Uuid,
            name: &str,
        ) -> Outcome<Option<Node>> {
            let sql = concat!(
                "SELECT ", node_columns!(), " FROM nodes n WHERE n.parent = $1 AND n.name = $2", within!("n.", "$3")
            );
            connection.first(sql, &values![parent, name, reach]).await
        }

        pub(super) async fn children(
            connection: &mut Connection,
            reach: Option<&str>,
            parent: Uuid,
            after: Option<&str>,
            limit: u32,
        ) -> Outcome<Vec<Node>> {
            let sql = concat!(
                "SELECT ", node_columns!(), " FROM nodes n WHERE n.parent = $1 AND n.name > $2", within!("n.", "$4"),
                " ORDER BY n.name LIMIT $3"
            );
            // No name is empty, so all come after the empty one.
            connection.all(sql, &values![parent, after.unwrap_or(""), limit, reach]).await
        }

        pub(super) async fn has_children(connection: &mut Connection, reach: Option<&str>, parent: Uuid) -> Outcome<bool> {
            let sql = concat!("SELECT id FROM nodes WHERE parent = $1", within!("", "$2"), " LIMIT 1");
            let child: Option<Uuid> = connection.first(sql, &values![parent, reach]).await?;
            Ok(child.is_some())
        }

        pub(super) async fn hold_folder(connection: &mut Connection, reach: Option<&str>, id: Uuid) -> Outcome<Option<Node>> {
            let sql = concat!(
                "SELECT ", node_columns!(), " FROM nodes n WHERE n.id = $1 AND n.version IS NULL", within!("n.", "$2"), $key_share
            );
            connection.first(sql, &values![id, reach]).await
        }

        pub(super) async fn hold_node(connection: &mut Connection, reach: Option<&str>, id: Uuid) -> Outcome<Option<Node>> {
            let sql = concat!("SELECT ", node_columns!(), " FROM nodes n WHERE n.id = $1", within!("n.", "$2"), $update);
            connection.first(sql, &values![id, reach]).await
        }

        /// None only where the root was removed between two statements.
        pub(super) async fn ensure_root(connection: &mut Connection, tenant: &str, now: Micros) -> Outcome<Option<Node>> {
            if let Some(root) = child(&mut *connection, Some(tenant), Uuid::nil(), tenant).await? {
                return Ok(Some(root));
            }
            let gateway = || "gateway".to_owned();
            let root = Node {
                id: Uuid::now_v7(),
                tenant: tenant.to_owned(),
                parent: Uuid::nil(),
                name: tenant.to_owned(),
                content: None,
                created_at: now,
                modified_at: now,
                attributes: Attributes::default(),
                created_by: Actor { identity: gateway(), login: gateway(), protocol: gateway() },
                classification: None,
                tags: std::collections::BTreeMap::new(),
            };
            let sql = "INSERT INTO nodes (id, tenant, parent, name, version, size, sha256, content_type, segments, created_at, \
                       modified_at, attributes, created_by, classification, tags) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
                       ON CONFLICT (parent, name) DO NOTHING";
            connection.execute(sql, &NodeTexts::of(&root)?.values(&root)).await?;
            child(connection, Some(tenant), Uuid::nil(), tenant).await
        }

        pub(super) async fn insert_node(connection: &mut Connection, node: &Node) -> Outcome<()> {
            let sql = "INSERT INTO nodes (id, tenant, parent, name, version, size, sha256, content_type, segments, created_at, \
                       modified_at, attributes, created_by, classification, tags) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
            connection.execute(sql, &NodeTexts::of(node)?.values(node)).await.map(drop)
        }

        /// False: no such node.
        pub(super) async fn update_node(connection: &mut Connection, node: &Node) -> Outcome<bool> {
            let sql = "UPDATE nodes SET parent = $3, name = $4, version = $5, size = $6, sha256 = $7, \
                       content_type = $8, segments = $9, created_at = $10, modified_at = $11, attributes = $12, \
                       created_by = $13, classification = $14, tags = $15 WHERE id = $1 AND tenant = $2";
            Ok(connection.execute(sql, &NodeTexts::of(node)?.values(node)).await? > 0)
        }

        /// False: no such node.
        pub(super) async fn delete_node(connection: &mut Connection, reach: Option<&str>, id: Uuid) -> Outcome<bool> {
            let sql = concat!("DELETE FROM nodes WHERE id = $1", within!("", "$2"));
            Ok(connection.execute(sql, &values![id, reach]).await? > 0)
        }
    };
}

pub(crate) use {node_columns, node_statements};
