//! What administrators declare through the API.

use causeway_core::ports::Reach;
use causeway_core::records::{ObjectKey, ObjectKind, StoredObject};

use super::{Subject, T0, at_once, file, folder, insert, root, write};

fn object(tenant: &str, id: &str, version: i64) -> StoredObject {
    StoredObject {
        key: ObjectKey::new(tenant, ObjectKind::Login, id),
        version,
        body: format!(r#"{{"identity":"{id}","note":"ü \u0000"}}"#),
        created_at: T0,
        changed_at: T0 + version,
    }
}

async fn all(ledger: &Subject) -> Vec<StoredObject> {
    ledger.read(Reach::Gateway).await.unwrap().objects().await.unwrap()
}

async fn put(ledger: &Subject, object: &StoredObject, expected: Option<i64>) -> bool {
    write!(ledger, [object], |tx| tx.put_object(&object, expected).await).unwrap()
}

pub async fn objects_keep_every_field(ledger: Subject) {
    assert_eq!(all(&ledger).await, []);
    let objects = [object("", "z", 1), object("acme", "B", 2), object("acme", "a", 3), object("other", "a", 4)];
    for made in objects.iter().rev() {
        assert!(put(&ledger, made, None).await);
    }
    assert_eq!(all(&ledger).await, objects, "in the order of tenant, kind and id, by bytes");
    // What the kind means is not the ledger's business.
    let mut strange = object("acme", "x", 5);
    strange.key.kind = "of a later day".into();
    assert!(put(&ledger, &strange, None).await);
    assert!(all(&ledger).await.contains(&strange));
}

pub async fn object_changes_are_conditional(ledger: Subject) {
    let first = object("acme", "a", 1);
    assert!(put(&ledger, &first, None).await);
    assert!(!put(&ledger, &object("acme", "a", 2), None).await, "it is there");
    let second = StoredObject { created_at: T0, ..object("acme", "a", 7) };
    assert!(!put(&ledger, &second, Some(6)).await, "it has another version");
    assert!(!put(&ledger, &object("acme", "b", 2), Some(1)).await, "it is not there");
    assert_eq!(all(&ledger).await, std::slice::from_ref(&first));
    assert!(put(&ledger, &second, Some(1)).await);
    assert_eq!(all(&ledger).await, std::slice::from_ref(&second));
    let delete =
        async |key: ObjectKey, version| write!(ledger, [key], |tx| tx.delete_object(&key, version).await).unwrap();
    assert!(!delete(second.key.clone(), 1).await, "it has another version");
    assert!(!delete(ObjectKey::new("other", ObjectKind::Login, "a"), 7).await, "another tenant's");
    assert!(!delete(ObjectKey::new("acme", ObjectKind::Identity, "a"), 7).await, "another kind");
    assert!(delete(second.key.clone(), 7).await);
    assert!(!delete(second.key.clone(), 7).await, "it is gone");
    assert_eq!(all(&ledger).await, []);
}

pub async fn one_of_two_advances_the_objects(ledger: Subject) {
    let generation = async || ledger.read(Reach::Gateway).await.unwrap().object_generation().await.unwrap();
    assert_eq!(generation().await, 0);
    for from in 0..10 {
        let all =
            at_once(&ledger, |ledger| async move { write!(ledger, [], |tx| tx.advance_objects(from).await).unwrap() })
                .await;
        assert_eq!(all.into_iter().filter(|moved| *moved).count(), 1, "from {from}");
        assert_eq!(generation().await, from + 1);
    }
    assert!(!write!(ledger, [], |tx| tx.advance_objects(9).await).unwrap());
    let undone: causeway_core::Result<()> = write!(ledger, [], |tx| {
        tx.advance_objects(10).await?;
        Err(causeway_core::Error::not_found())
    });
    assert!(undone.is_err());
    assert_eq!(generation().await, 10, "what fails has moved nothing");
}

pub async fn files_are_counted_by_their_makers(ledger: Subject) {
    let top = root(&ledger).await;
    let counts = async || ledger.read(Reach::Gateway).await.unwrap().file_counts("acme").await.unwrap();
    assert_eq!(counts().await, []);
    insert(&ledger, &folder(top.id, "folder")).await;
    for (name, maker) in [("a", "one"), ("b", "other \"x\""), ("c", "one")] {
        let mut made = file(top.id, name);
        made.created_by.identity = maker.into();
        insert(&ledger, &made).await;
    }
    assert_eq!(counts().await, [("one".to_owned(), 2), ("other \"x\"".to_owned(), 1)]);
    assert_eq!(ledger.read(Reach::Gateway).await.unwrap().file_counts("other").await.unwrap(), []);
}
