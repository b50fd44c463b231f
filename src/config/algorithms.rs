//! `[sftp]`: `ciphers`, `macs`, `kex`, `host_key_algorithms`, `public_key_algorithms`, `legacy_algorithms`.

use causeway_sftp::{AlgorithmList, Algorithms, NoSuchAlgorithm};

use super::reader::{Section, nearest};

/// Reads the lists. `own_keys`: whether the operator names host keys, which are then all shown, whatever their kind.
pub fn read(section: &Section<'_>, own_keys: bool) -> Algorithms {
    let report = section.report();
    let flag = section.flag("legacy_algorithms").filter(|found| found.value);
    let legacy = flag.is_some();
    let list = |key, list| read_list(section, key, list, legacy).unwrap_or_else(|| defaults(list, own_keys));
    let mut algorithms = Algorithms {
        ciphers: list("ciphers", AlgorithmList::Ciphers),
        macs: list("macs", AlgorithmList::Macs),
        kex: list("kex", AlgorithmList::Kex),
        host_keys: list("host_key_algorithms", AlgorithmList::HostKeys),
        public_keys: list("public_key_algorithms", AlgorithmList::PublicKeys),
    };
    if let Some(found) = flag {
        algorithms = algorithms.with_legacy();
        let named: Vec<&str> = algorithms.legacy().into_iter().collect();
        report.warning(
            &found.spot,
            format!(
                "broken algorithms are offered ({}); switch them off as soon as no partner needs them",
                named.join(", ")
            ),
        );
    }
    algorithms
}

fn defaults(list: AlgorithmList, own_keys: bool) -> Vec<&'static str> {
    if list == AlgorithmList::HostKeys && own_keys { list.names(false) } else { list.defaults() }
}

fn read_list(section: &Section<'_>, key: &'static str, list: AlgorithmList, legacy: bool) -> Option<Vec<&'static str>> {
    let known = list.names(legacy);
    let found = section.texts(key, |text| {
        list.find(text, legacy).map_err(|why| match why {
            NoSuchAlgorithm::Legacy => format!("`{text}` is broken; it is there only with legacy_algorithms = true"),
            NoSuchAlgorithm::Unknown => {
                let hint = nearest(text, known.iter().copied());
                let hint = hint.map_or_else(|| ".".to_owned(), |near| format!("; did you mean `{near}`?"));
                format!("`{text}` is not known here{hint} There are: {}", known.join(", "))
            }
        })
    })?;
    if found.value.is_empty() {
        section.report().error(&found.spot, "the list is empty; leave the key out for the default");
        return None;
    }
    let mut names = Vec::with_capacity(found.value.len());
    for item in found.value {
        if names.contains(&item.value) {
            section.report().error(&item.spot, format!("`{}` stands here twice; remove one", item.value));
        }
        names.push(item.value);
    }
    Some(names)
}
