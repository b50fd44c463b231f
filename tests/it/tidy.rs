//! House rules that a compiler does not hold: which crate may see which, how long a file may be, which names are banned.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Files that may allow unsafe code, each a small module with a note of what was measured.
const UNSAFE_ALLOWED: &[&str] = &[];

/// Names that say nothing about what they hold.
const BANNED_NAMES: &[&str] = &["utils", "util", "common", "manager", "helper", "helpers", "misc"];

const LONGEST: usize = 600;

// What is tested keeps its trail: the feature that a benchmark is built with is not on.
const _: () = assert!(causeway_core::audit::TRAIL);

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(Path::new(ROOT).join(path.as_ref())).unwrap()
}

/// The files below a folder of the repository with this extension.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, extension: &str, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                // What others wrote is theirs to shape.
                let ours = !matches!(name.as_str(), "target" | "causeway-data" | "third_party");
                if ours && !name.starts_with('.') {
                    walk(&path, extension, out);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                out.push(path);
            }
        }
    }
    let mut out = Vec::new();
    walk(&Path::new(ROOT).join(folder), extension, &mut out);
    out.sort();
    out
}

/// The names of the normal dependencies of a crate.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    read(manifest)
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn arrows_point_one_way() {
    let core = dependencies("core/Cargo.toml");
    assert!(core.contains("tokio"), "the manifest is read: {core:?}");
    for foreign in [
        "russh",
        "axum",
        "sqlx",
        "rusqlite",
        "rustls",
        "tokio-rustls",
        "object_store",
        "reqwest",
        "hyper",
        "hyper-util",
        "http",
        "cap-std",
    ] {
        assert!(!core.contains(foreign), "core must not know {foreign}");
    }
    let workspace = |all: &BTreeSet<String>| -> Vec<String> {
        all.iter().filter(|name| name.starts_with("causeway")).cloned().collect()
    };
    assert!(workspace(&core).is_empty(), "core sees no other crate of the workspace");
    for (manifest, foreign) in [
        ("store/Cargo.toml", &["russh", "axum", "rustls", "hyper"][..]),
        ("protocols/sftp/Cargo.toml", &["axum", "sqlx", "rusqlite", "rustls", "hyper", "http"]),
        ("protocols/ftp/Cargo.toml", &["axum", "sqlx", "rusqlite", "russh", "hyper", "http"]),
        ("api/Cargo.toml", &["russh", "sqlx", "rusqlite", "rustls", "tokio-rustls"]),
    ] {
        let seen = dependencies(manifest);
        assert_eq!(workspace(&seen), ["causeway-core"], "{manifest}: the middle crates see core alone");
        for name in foreign {
            assert!(!seen.contains(*name), "{manifest} must not know {name}");
        }
    }
}

#[test]
fn versions_stand_in_one_place() {
    for manifest in [
        "core/Cargo.toml",
        "store/Cargo.toml",
        "protocols/sftp/Cargo.toml",
        "protocols/ftp/Cargo.toml",
        "api/Cargo.toml",
    ] {
        let text = read(manifest);
        let mut section = "";
        for line in text.lines() {
            if line.starts_with('[') {
                section = line;
            }
            if !section.ends_with("dependencies]") {
                continue;
            }
            let allowed = line.contains("workspace = true") || line.is_empty() || line.starts_with(['[', '#']);
            assert!(allowed, "{manifest}: `{line}` names a version; it belongs to [workspace.dependencies]");
        }
    }
}

#[test]
fn files_are_short_and_well_named() {
    let sources = files(".", "rs");
    assert!(sources.len() > 50, "the sources are found");
    for path in sources {
        let shown = path.strip_prefix(ROOT).unwrap().display();
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{shown} has {lines} lines; split it by what it is about");
        let stem = path.file_stem().unwrap().to_string_lossy().to_lowercase();
        let folder = path.parent().and_then(|p| p.file_name()).unwrap().to_string_lossy().to_lowercase();
        for banned in BANNED_NAMES {
            assert!(stem != *banned && folder != *banned, "{shown}: `{banned}` says nothing; name what it holds");
            for line in text.lines().map(str::trim) {
                let named = line
                    .trim_start_matches("pub ")
                    .trim_start_matches("pub(crate) ")
                    .strip_prefix("struct ")
                    .or_else(|| line.trim_start_matches("pub ").strip_prefix("mod "))
                    .or_else(|| line.trim_start_matches("pub ").strip_prefix("enum "))
                    .or_else(|| line.trim_start_matches("pub ").strip_prefix("trait "));
                if let Some(name) = named {
                    let name = name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_lowercase();
                    assert!(!name.ends_with(banned), "{shown}: `{name}` says nothing; name what it does");
                }
            }
        }
        // Spelled in two halves, so that this file does not find itself.
        for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")] {
            assert!(!text.contains(mark), "{shown} says {mark}; do it, or file it");
        }
        let mark = concat!("allow(unsafe", "_code)");
        let expected = UNSAFE_ALLOWED.iter().any(|allowed| path.ends_with(allowed));
        assert_eq!(text.contains(mark), expected, "{shown}: {mark} and the list in this test");
    }
}

/// Where a handler is bound to a path: nowhere but where it comes with its description. (The operator's listener is another one.)
#[test]
fn no_route_goes_without_its_description() {
    let mut found = Vec::new();
    for path in files("api/src", "rs") {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        if code.contains(".route(") || code.contains("axum::routing") || code.contains(".nest(") {
            found.push(path.strip_prefix(ROOT).unwrap().display().to_string());
        }
    }
    assert_eq!(
        found.iter().map(|path| path.trim_start_matches("./")).collect::<Vec<_>>(),
        ["api/src/openapi/routes.rs", "api/src/ops.rs"]
    );
}

#[test]
fn what_others_wrote_is_theirs_but_for_our_patch() {
    let check = Command::new(Path::new(ROOT).join("third_party/renew")).arg("--check").output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    // Each file that the patch changes says so (section 4 of its licence).
    let patch = read("third_party/russh.patch");
    let changed: Vec<&str> = patch.lines().filter_map(|line| line.strip_prefix("+++ b/")).collect();
    assert!(changed.contains(&"src/server/encrypted.rs"), "{changed:?}");
    for file in changed {
        let text = read(Path::new("third_party/russh").join(file));
        assert!(
            text.starts_with("// Modified for causeway: third_party/README.md says how.\n"),
            "{file} does not say so"
        );
    }
    let manifest = read("third_party/russh/Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap();
    assert!(
        read("Cargo.toml").contains(&format!("russh = {{ version = {version}")),
        "Cargo.toml names russh {version}"
    );
}

#[test]
fn every_crate_takes_the_lints() {
    for manifest in [
        "Cargo.toml",
        "core/Cargo.toml",
        "store/Cargo.toml",
        "protocols/sftp/Cargo.toml",
        "protocols/ftp/Cargo.toml",
        "api/Cargo.toml",
    ] {
        assert!(read(manifest).contains("[lints]\nworkspace = true"), "{manifest} does not take the workspace's lints");
    }
    assert!(read("Cargo.toml").contains("unsafe_code = \"deny\""));
}

#[test]
fn the_architecture_page_is_short_and_names_every_crate() {
    let page = read("ARCHITECTURE.md");
    assert!(page.lines().count() < 300, "{} lines", page.lines().count());
    for name in ["core/", "store/", "protocols/sftp/", "api/", "src/", "tests/it/"] {
        assert!(page.contains(&format!("`{name}")), "ARCHITECTURE.md does not tell of {name}");
    }
    // Paths that it names exist.
    for word in page.split('`').skip(1).step_by(2) {
        let is_path =
            word.contains('/') && !word.contains([' ', '{', '*', '<', '(', ':', '$']) && !word.starts_with('/');
        if is_path && (word.ends_with(".rs") || word.ends_with('/') || word.ends_with(".toml")) {
            assert!(Path::new(ROOT).join(word).exists(), "ARCHITECTURE.md names `{word}`, which is not there");
        }
    }
}
