//! Verification of what was exported (`GET /audit` or `causeway audit export` as lines of JSON), without the ledger: the sealed
//! bytes are made again of the fields, as canonical JSON is the same wherever it is made.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::canonical::Value;
use super::strict::Strict;
use super::{Breach, Trust, Verification, Walker, Worth};
use crate::error::{Error, ErrorKind, Result};
use crate::records::Seal;

/// How far entries may be out of order, where somebody has sorted them by time, or put pages together that were asked for at the same time.
const WINDOW: usize = 10_000;

/// The fields of an exported entry that are not sealed.
const SEQ: &str = "seq";
const ENTRY_HASH: &str = "entry_hash";

/// An exported entry as a line of JSON, without the line's end. It is one line for whoever reads it: what may separate lines,
/// or hide something, is escaped.
pub fn export_line(entry: &Map<String, Json>) -> String {
    Value::Map(entry.iter().map(|(name, value)| (name.clone(), value.into())).collect()).to_json()
}

/// Reads an export entry by entry and verifies its chains.
#[derive(Debug)]
pub struct ExportReader {
    trust: Trust,
    chains: BTreeMap<String, Chain>,
    /// Entries so far.
    read: u64,
}

#[derive(Debug)]
struct Chain {
    walker: Walker,
    waiting: BTreeMap<i64, (Seal, Vec<u8>)>,
    unsealed: u64,
}

fn wrong(why: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("this is no exported audit entry: {why}"))
}

impl ExportReader {
    /// An export may begin behind any place that was signed.
    pub const fn new(trust: Trust) -> Self {
        Self { trust, chains: BTreeMap::new(), read: 0 }
    }

    /// Reads an export: entries, lists of entries and pages of `GET /audit`, one after the other, on lines as they like. Only one of them
    /// is in memory at a time: the form for a long trail is an entry a line.
    ///
    /// # Errors
    /// `InvalidArgument`: it is none, or cannot be read.
    pub fn read(&mut self, source: impl Read) -> Result<()> {
        for document in serde_json::Deserializer::from_reader(source).into_iter::<Strict>() {
            let Strict(document) = document.map_err(|error| wrong(&error.to_string()))?;
            self.document(document)?;
        }
        Ok(())
    }

    fn document(&mut self, document: Json) -> Result<()> {
        match document {
            Json::Array(entries) => entries.into_iter().try_for_each(|entry| self.document(entry)),
            Json::Object(mut page) if !page.contains_key("id") && page.contains_key("entries") => {
                self.document(page.remove("entries").unwrap_or_default())
            }
            Json::Object(entry) => {
                self.read += 1;
                let number = self.read;
                self.entry(entry).map_err(|e| Error::new(e.kind(), format!("entry {number}: {}", e.message())))
            }
            _ => Err(wrong("it is no JSON object")),
        }
    }

    fn entry(&mut self, mut entry: Map<String, Json>) -> Result<()> {
        let (seq, hash) = (entry.remove(SEQ), entry.remove(ENTRY_HASH));
        let name = entry.get("tenant_id").and_then(Json::as_str).unwrap_or_default().to_owned();
        let id = entry.get("id").and_then(Json::as_str).and_then(|id| Uuid::try_parse(id).ok());
        let id = id.ok_or_else(|| wrong("it has no `id`"))?;
        let trust = &self.trust;
        let chain = self.chains.entry(name.clone()).or_insert_with(|| Chain::new(&name, trust));
        let (seq, hash) = match (seq, hash) {
            (Some(Json::Null), Some(Json::Null)) => {
                chain.unsealed += 1;
                return Ok(());
            }
            (Some(Json::Number(seq)), Some(Json::String(hash))) => (seq, hash),
            _ => return Err(wrong("it has no `seq` and `entry_hash`")),
        };
        let seq = seq.as_i64().ok_or_else(|| wrong("`seq` is no whole number"))?;
        let hash: Option<[u8; 32]> = hex::decode(hash).ok().and_then(|hash| hash.try_into().ok());
        let hash = hash.ok_or_else(|| wrong("`entry_hash` is no SHA-256"))?;
        let body = Value::from(&Json::Object(entry)).to_canonical();
        chain.take(Seal { chain: name, seq, entry: id, hash }, body)
    }

    /// What was found of each chain of which there was an entry.
    pub fn finish(self) -> Vec<(String, Verification)> {
        self.chains.into_iter().map(|(name, chain)| (name, chain.finish())).collect()
    }
}

impl Chain {
    fn new(name: &str, trust: &Trust) -> Self {
        let mut walker = Walker::new();
        for mark in trust.kept.iter().filter(|mark| mark.chain == name) {
            match trust.worth(mark) {
                Worth::Good => {
                    walker.expect(mark.seq, mark.hash);
                    walker.may_begin_behind(mark.seq, mark.hash);
                }
                Worth::Unknown => walker.note_unknown(),
                Worth::Forged => walker.breach(mark.seq, Breach::Forged),
            }
        }
        Self { walker, waiting: BTreeMap::new(), unsealed: 0 }
    }

    fn take(&mut self, seal: Seal, body: Vec<u8>) -> Result<()> {
        if self.walker.sealed() > 0 && seal.seq <= self.walker.last() {
            return Err(wrong(
                "it is far from its place in the order of `seq`, or there twice; sort the export by `seq`",
            ));
        }
        let seq = seal.seq;
        if self.waiting.insert(seq, (seal, body)).is_some() {
            self.walker.breach(seq, Breach::Inserted);
        }
        if self.waiting.len() > WINDOW {
            self.step();
        }
        Ok(())
    }

    fn step(&mut self) -> bool {
        let Some((_, (seal, body))) = self.waiting.pop_first() else { return false };
        self.walker.step(&seal, Some(&body));
        true
    }

    fn finish(mut self) -> Verification {
        while self.step() {}
        self.walker.finish(self.unsealed, 0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::audit::{GENESIS, HeadKey, link};
    use crate::events::{Facts, Operation};
    use crate::records::{AuditHead, HeadKind};

    /// An export of so many entries, from 1.
    fn export(length: i64) -> Vec<Map<String, Json>> {
        let mut previous = GENESIS;
        let mut lines = Vec::new();
        for seq in 1..=length {
            let mut facts = Facts::of_gateway_in(&"acme".into(), "gw-1", Operation::Upload);
            facts.path = Some(format!("/in/{seq} \u{e9}\u{1f600}\"\n"));
            facts.size = Some(u64::MAX);
            let body = facts.audit().body;
            previous = link(&previous, &body);
            let mut entry: Map<String, Json> = serde_json::from_slice(&body).unwrap();
            entry.insert(SEQ.into(), seq.into());
            entry.insert(ENTRY_HASH.into(), hex::encode(previous).into());
            lines.push(entry);
        }
        lines
    }

    fn hash_of(entry: &Map<String, Json>) -> [u8; 32] {
        hex::decode(entry[ENTRY_HASH].as_str().unwrap()).unwrap().try_into().unwrap()
    }

    fn found(entries: &[Map<String, Json>], trust: Trust) -> Verification {
        let mut reader = ExportReader::new(trust);
        for entry in entries {
            reader.read(Json::Object(entry.clone()).to_string().as_bytes()).unwrap();
        }
        reader.read(&b"\n"[..]).unwrap();
        let mut chains = reader.finish();
        assert_eq!(chains.len(), 1);
        assert_eq!(chains[0].0, "acme");
        chains.remove(0).1
    }

    fn trusted(kept: impl FnOnce(&HeadKey) -> AuditHead) -> Trust {
        let key = HeadKey::from_seed(&[7; 32]).unwrap();
        Trust { kept: vec![kept(&key)], keys: vec![key.public()] }
    }

    #[test]
    fn an_export_holds_in_any_order_and_a_change_is_found() {
        let mut entries = export(6);
        entries.swap(2, 4);
        let whole = found(&entries, Trust::default());
        assert_eq!((whole.valid, whole.sealed, whole.first, whole.last), (true, 6, 1, 6));
        for at in 0..6i64 {
            let mut changed = export(6);
            changed[at as usize].insert("outcome".into(), "denied".into());
            let finding = found(&changed, Trust::default());
            assert_eq!((finding.broken_at, finding.breach), (Some(at + 1), Some(Breach::Changed)));
            let mut gone = export(6);
            gone.remove(at as usize);
            let expected = if at == 5 { None } else { Some(at + 1) };
            assert_eq!(found(&gone, Trust::default()).broken_at, expected);
        }
    }

    #[test]
    fn a_head_shows_the_tail_that_is_missing() {
        let whole = export(6);
        let trust = || trusted(|key| key.sign(HeadKind::Head, ("acme", 6), hash_of(&whole[5]), 1).unwrap());
        assert_eq!(found(&whole, trust()).signed, 6);
        let cut = found(&whole[..4], trust());
        assert_eq!((cut.broken_at, cut.breach), (Some(5), Some(Breach::Truncated)));
        assert!(ExportReader::new(trust()).finish().is_empty());
    }

    #[test]
    fn an_export_may_begin_behind_a_signed_place_alone() {
        let whole = export(6);
        assert_eq!(found(&whole[3..], Trust::default()).broken_at, Some(1));
        let trust = trusted(|key| key.sign(HeadKind::Head, ("acme", 3), hash_of(&whole[2]), 1).unwrap());
        let part = found(&whole[3..], trust);
        assert_eq!((part.valid, part.first, part.sealed), (true, 4, 3));
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        let mut reader = ExportReader::new(Trust::default());
        for bad in ["x", "3", "[[1]]", "{}", "{\"id\":\"0199\"}", "{\"entries\":{}}", "{\"id\""] {
            assert_eq!(reader.read(bad.as_bytes()).unwrap_err().kind(), ErrorKind::InvalidArgument, "{bad}");
        }
        let mut entry = export(1).remove(0);
        entry.insert(ENTRY_HASH.into(), "abc".into());
        assert!(reader.entry(entry).is_err());
    }

    #[test]
    fn every_form_of_an_export_is_read() {
        let entries = export(3);
        let pretty = |value: &Json| serde_json::to_string_pretty(value).unwrap();
        let list = Json::from(entries.iter().cloned().map(Json::Object).collect::<Vec<_>>());
        let page = serde_json::json!({ "entries": list, "next_cursor": null });
        for text in [list.to_string(), pretty(&list), page.to_string(), pretty(&page)] {
            let mut reader = ExportReader::new(Trust::default());
            reader.read(text.as_bytes()).unwrap();
            let found = reader.finish().remove(0).1;
            assert_eq!((found.valid, found.sealed), (true, 3), "{text}");
        }
    }

    #[test]
    fn a_field_that_stands_there_twice_is_no_proof() {
        let line = Json::Object(export(1).remove(0)).to_string();
        let twice = line.replacen('{', "{\"path\":\"/elsewhere\",", 1);
        let error = ExportReader::new(Trust::default()).read(twice.as_bytes()).unwrap_err();
        assert!(error.message().contains("`path` stands there twice"), "{error}");
    }
}
