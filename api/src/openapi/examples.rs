//! The values that the description shows: one file and what becomes of it.

use serde_json::{Value, json};

use super::schemas::{HASH, ID};

const MOMENT: &str = "2026-11-24T20:15:02.123456Z";

/// A file.
pub fn file() -> Value {
    json!({
        "type": "file", "file_id": ID, "name": "orders.csv", "path": "/inbound/orders.csv", "size": 1_048_576, "hash": HASH,
        "hash_algorithm": "sha256", "content_type": "text/csv", "etag": format!("\"{HASH}\""), "created_at": MOMENT,
        "modified_at": MOMENT, "created_by": { "identity": "edi-partner", "login": "edi01", "protocol": "sftp" },
        "classification": "internal", "tags": { "batch": "47" },
    })
}

/// A folder.
pub fn folder() -> Value {
    json!({
        "type": "folder", "file_id": "0199a0b2-7c4d-7e10-8b1f-3d5a6c7e8f91", "name": "inbound", "path": "/inbound",
        "created_at": MOMENT, "modified_at": MOMENT,
    })
}

/// A page of a folder.
pub fn entries() -> Value {
    json!({ "entries": [folder(), file()], "next_cursor": null })
}

/// An upload in parts.
pub fn upload() -> Value {
    json!({
        "session_id": ID, "path": "/inbound/orders.csv", "state": "detached", "protocol": "api", "login": "orders",
        "size": 25_165_824, "chunk_size": 8_388_608, "chunks": 3, "received": [[0, 1]], "bytes": 16_777_216,
        "offset": 16_777_216, "percent": 66.66, "created_at": MOMENT, "expires_at": "2026-12-01T20:15:02.123456Z",
    })
}

/// A transfer that was asked for.
pub fn requested() -> Value {
    json!({
        "transfer_id": ID, "state": "queued", "status_url": format!("https://gateway.example/api/v1/transfers/{ID}/status"),
    })
}

/// A transfer under way.
pub fn transfer() -> Value {
    json!({
        "transfer_id": ID, "state": "running", "protocol": "transfer", "operation": "move", "identity": "orders-app",
        "login": "orders", "source": "/inbound/*.csv", "destination": "/archive/", "bytes": 1_048_576, "size": 4_194_304,
        "percent": 25.0, "attempts": 1, "error_message": null, "error_code": null, "created_at": MOMENT, "started_at": MOMENT,
        "finished_at": null, "priority": 5, "files_total": 2, "files_done": 1, "files_failed": 0,
        "files": [
            { "source": "/inbound/orders.csv", "destination": "/archive/orders.csv", "size": 1_048_576, "state": "done",
              "error_code": null, "error_message": null },
            { "source": "/inbound/stock.csv", "destination": "/archive/stock.csv", "size": 3_145_728, "state": "pending",
              "error_code": null, "error_message": null },
        ],
    })
}

/// A live session.
pub fn session() -> Value {
    json!({
        "session_id": ID, "tenant_id": "acme", "protocol": "sftp", "identity": "edi-partner", "login": "edi01",
        "client_ip": "192.0.2.7", "client_version": "SSH-2.0-OpenSSH_9.2", "auth_method": "publickey", "node": "gw-1",
        "started_at": MOMENT, "bytes_up": 1_048_576, "bytes_down": 0, "operation": "upload",
    })
}

/// An event.
pub fn event() -> Value {
    json!({
        "id": ID, "type": "file.uploaded", "timestamp": MOMENT, "tenant_id": "acme",
        "transfer_id": "0199a0b2-7c4d-7e10-8b1f-3d5a6c7e8f92", "status": "completed", "data": data(),
    })
}

fn data() -> Value {
    json!({
        "identity": "edi-partner", "login": "edi01", "protocol": "sftp",
        "session": "0199a0b2-7c4d-7e10-8b1f-3d5a6c7e8f93", "client_ip": "192.0.2.7", "node": "gw-1", "operation": "upload",
        "file_id": ID, "path": "/inbound/orders.csv", "view_path": "/inbound/orders.csv", "previous_path": null,
        "name": "orders.csv", "size": 1_048_576, "bytes": 1_048_576, "complete": true, "hash": HASH,
        "hash_algorithm": "sha256", "content_type": "text/csv", "duration_ms": 212, "error_code": null,
        "error_message": null,
    })
}

/// An entry of the trail.
pub fn audit_entry() -> Value {
    let mut entry = data();
    let more = json!({
        "id": ID, "timestamp": MOMENT, "tenant_id": "acme", "transfer_id": "0199a0b2-7c4d-7e10-8b1f-3d5a6c7e8f92",
        "status": "completed", "outcome": "ok", "auth_method": "publickey", "cipher": "aes256-gcm@openssh.com",
        "client_version": "SSH-2.0-OpenSSH_9.2", "seq": 4711, "entry_hash": HASH,
    });
    if let (Some(entry), Value::Object(more)) = (entry.as_object_mut(), more) {
        entry.extend(more);
    }
    entry
}
