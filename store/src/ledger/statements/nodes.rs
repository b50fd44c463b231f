//! Statements on `nodes`.

/// The columns that make a `NodeRow`, of a table called `n`.
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

        use crate::ledger::rows::{NodeRow, Outcome, json};
        use crate::ledger::statements::node_columns;

        type Connection = $connection;

        fn nodes(rows: Vec<NodeRow>) -> Outcome<Vec<Node>> {
            rows.into_iter().map(NodeRow::node).collect()
        }

        pub(super) async fn walk(connection: &mut Connection, tenant: &str, names: &[&str]) -> Outcome<Vec<Node>> {
            let rows = sqlx::query_as(concat!(
                "WITH RECURSIVE way (depth, id) AS (SELECT 0, id FROM nodes WHERE parent = ", $nil, " AND name = $1 ",
                "UNION ALL SELECT way.depth + 1, c.id FROM way JOIN nodes c ON c.parent = way.id AND c.name = (",
                $json, " ->> way.depth)) SELECT ", node_columns!(), " FROM way JOIN nodes n ON n.id = way.id ORDER BY way.depth"
            ));
            nodes(rows.bind(tenant).bind(json(names)?).fetch_all(connection).await?)
        }

        pub(super) async fn node(connection: &mut Connection, id: Uuid) -> Outcome<Option<Node>> {
            let row: Option<NodeRow> = sqlx::query_as(concat!("SELECT ", node_columns!(), " FROM nodes n WHERE n.id = $1"))
                .bind(id)
                .fetch_optional(connection)
                .await?;
            row.map(NodeRow::node).transpose()
        }

        /// Paths end at 4,096 bytes, so a way up that is longer goes in a circle.
        pub(super) async fn ancestry(connection: &mut Connection, id: Uuid) -> Outcome<Vec<(Uuid, String)>> {
            let rows: Vec<(Uuid, String, Uuid)> = sqlx::query_as(
                "WITH RECURSIVE up (depth, id, name, parent) AS (SELECT 0, id, name, parent FROM nodes WHERE id = $1 \
                 UNION ALL SELECT up.depth + 1, n.id, n.name, n.parent FROM up JOIN nodes n ON n.id = up.parent \
                 WHERE up.depth < 4096) SELECT id, name, parent FROM up ORDER BY depth DESC",
            )
            .bind(id)
            .fetch_all(connection)
            .await?;
            // Whatever does not end at a root hangs in no tenant's tree.
            if rows.first().is_none_or(|(_, _, parent)| !parent.is_nil()) {
                return Ok(Vec::new());
            }
            Ok(rows.into_iter().map(|(id, name, _)| (id, name)).collect())
        }

        pub(super) async fn child(connection: &mut Connection, parent: Uuid, name: &str) -> Outcome<Option<Node>> {
            let row: Option<NodeRow> =
                sqlx::query_as(concat!("SELECT ", node_columns!(), " FROM nodes n WHERE n.parent = $1 AND n.name = $2"))
                    .bind(parent)
                    .bind(name)
                    .fetch_optional(connection)
                    .await?;
            row.map(NodeRow::node).transpose()
        }

        pub(super) async fn children(
            connection: &mut Connection,
            parent: Uuid,
            after: Option<&str>,
            limit: u32,
        ) -> Outcome<Vec<Node>> {
            let rows = sqlx::query_as(concat!(
                "SELECT ", node_columns!(), " FROM nodes n WHERE n.parent = $1 AND n.name > $2 ORDER BY n.name LIMIT $3"
            ));
            // No name is empty, so all come after the empty one.
            nodes(rows.bind(parent).bind(after.unwrap_or("")).bind(i64::from(limit)).fetch_all(connection).await?)
        }

        pub(super) async fn has_children(connection: &mut Connection, parent: Uuid) -> Outcome<bool> {
            let row: Option<Uuid> = sqlx::query_scalar("SELECT id FROM nodes WHERE parent = $1 LIMIT 1")
                .bind(parent)
                .fetch_optional(connection)
                .await?;
            Ok(row.is_some())
        }

        pub(super) async fn hold_folder(connection: &mut Connection, id: Uuid) -> Outcome<Option<Node>> {
            let row: Option<NodeRow> = sqlx::query_as(concat!(
                "SELECT ", node_columns!(), " FROM nodes n WHERE n.id = $1 AND n.version IS NULL", $key_share
            ))
            .bind(id)
            .fetch_optional(connection)
            .await?;
            row.map(NodeRow::node).transpose()
        }

        pub(super) async fn hold_node(connection: &mut Connection, id: Uuid) -> Outcome<Option<Node>> {
            let row: Option<NodeRow> =
                sqlx::query_as(concat!("SELECT ", node_columns!(), " FROM nodes n WHERE n.id = $1", $update))
                    .bind(id)
                    .fetch_optional(connection)
                    .await?;
            row.map(NodeRow::node).transpose()
        }

        /// None only where the root was removed between two statements.
        pub(super) async fn ensure_root(connection: &mut Connection, tenant: &str, now: Micros) -> Outcome<Option<Node>> {
            if let Some(root) = child(&mut *connection, Uuid::nil(), tenant).await? {
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
            let insert = sqlx::query(
                "INSERT INTO nodes (id, tenant, parent, name, version, size, sha256, content_type, segments, created_at, \
                 modified_at, attributes, created_by, classification, tags) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
                 ON CONFLICT (parent, name) DO NOTHING",
            );
            bind(insert, NodeRow::of(&root)?).execute(&mut *connection).await?;
            child(connection, Uuid::nil(), tenant).await
        }

        type Statement = sqlx::query::Query<
            'static,
            <Connection as sqlx::Connection>::Database,
            <<Connection as sqlx::Connection>::Database as sqlx::Database>::Arguments,
        >;

        fn bind(statement: Statement, row: NodeRow) -> Statement {
            statement
                .bind(row.id)
                .bind(row.tenant)
                .bind(row.parent)
                .bind(row.name)
                .bind(row.version)
                .bind(row.size)
                .bind(row.sha256)
                .bind(row.content_type)
                .bind(row.segments)
                .bind(row.created_at)
                .bind(row.modified_at)
                .bind(row.attributes)
                .bind(row.created_by)
                .bind(row.classification)
                .bind(row.tags)
        }

        pub(super) async fn insert_node(connection: &mut Connection, node: &Node) -> Outcome<()> {
            let insert = sqlx::query(
                "INSERT INTO nodes (id, tenant, parent, name, version, size, sha256, content_type, segments, created_at, \
                 modified_at, attributes, created_by, classification, tags) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
            );
            bind(insert, NodeRow::of(node)?).execute(connection).await.map(drop)
        }

        /// False: no such node.
        pub(super) async fn update_node(connection: &mut Connection, node: &Node) -> Outcome<bool> {
            let update = sqlx::query(
                "UPDATE nodes SET tenant = $2, parent = $3, name = $4, version = $5, size = $6, sha256 = $7, \
                 content_type = $8, segments = $9, created_at = $10, modified_at = $11, attributes = $12, \
                 created_by = $13, classification = $14, tags = $15 WHERE id = $1",
            );
            Ok(bind(update, NodeRow::of(node)?).execute(connection).await?.rows_affected() > 0)
        }

        /// False: no such node.
        pub(super) async fn delete_node(connection: &mut Connection, id: Uuid) -> Outcome<bool> {
            let delete = sqlx::query("DELETE FROM nodes WHERE id = $1");
            Ok(delete.bind(id).execute(connection).await?.rows_affected() > 0)
        }
    };
}

pub(crate) use {node_columns, node_statements};
