//! Each operation, what it leaves, and where a protocol cannot do the same.

use super::drive::Act;

/// The one that all others are compared with comes first.
pub const PROTOCOLS: [&str; 4] = ["sftp", "scp", "ftps", "api"];

/// What a protocol needs beside the operation itself, which is an operation of its own there.
pub struct Besides {
    pub protocol: &'static str,
    pub operation: &'static str,
    pub entries: usize,
    pub events: usize,
}

/// Fields that cannot be the same over a protocol.
pub struct Differs {
    pub protocol: &'static str,
    pub fields: &'static [&'static str],
}

/// One operation.
pub struct Case {
    pub name: &'static str,
    pub who: &'static str,
    pub act: Act,
    /// What is there before: files, and folders, which end in a slash.
    pub there: &'static [&'static str],
    /// Operations and outcomes of the audit entries.
    pub entries: Vec<(&'static str, &'static str)>,
    /// Kinds of the events, by name.
    pub events: Vec<&'static str>,
    /// Protocols that cannot do it, and why.
    pub cannot: Vec<(&'static str, &'static str)>,
    pub differs: Vec<Differs>,
    pub besides: Vec<Besides>,
}

impl Case {
    fn new(name: &'static str, who: &'static str, there: &'static [&'static str], act: Act) -> Self {
        Self {
            name,
            who,
            act,
            there,
            entries: Vec::new(),
            events: Vec::new(),
            cannot: Vec::new(),
            differs: Vec::new(),
            besides: Vec::new(),
        }
    }

    /// It leaves one entry of this operation and outcome, and these events.
    fn leaves(mut self, operation: &'static str, outcome: &'static str, events: &[&'static str]) -> Self {
        self.entries.push((operation, outcome));
        self.events.extend(events);
        self.events.sort_unstable();
        self
    }

    /// A rule refuses it: one entry, and `policy.violated`.
    fn refused(self, operation: &'static str) -> Self {
        self.leaves(operation, "denied", &["policy.violated"])
    }

    /// It goes wrong, which is no refusal: one entry, and no event.
    fn fails(self, operation: &'static str) -> Self {
        self.leaves(operation, "error", &[])
    }

    fn cannot(mut self, protocol: &'static str, why: &'static str) -> Self {
        self.cannot.push((protocol, why));
        self
    }

    fn differs(mut self, protocol: &'static str, fields: &'static [&'static str]) -> Self {
        self.differs.push(Differs { protocol, fields });
        self
    }

    fn besides(mut self, protocol: &'static str, operation: &'static str, (entries, events): (usize, usize)) -> Self {
        self.besides.push(Besides { protocol, operation, entries, events });
        self
    }

    /// Nobody comes by it over scp.
    fn not_scp(self) -> Self {
        self.cannot("scp", "it gives and takes files and folders, and nothing else")
    }

    /// Whether the client is told that it is done.
    pub fn is_done(&self) -> bool {
        self.entries.iter().all(|(_, outcome)| *outcome == "ok")
    }
}

const SMALL: usize = 7;
/// Above the quota of `poor`.
const ABOVE_QUOTA: usize = 2000;
/// Above `max_file_size`.
const TOO_LARGE: usize = 5000;
const A: &str = "/a.txt";
const B: &str = "/b.txt";
/// A name that is not in NFC.
const NO_NAME: &str = "/e\u{301}.txt";

const fn upload(path: &'static str, size: usize) -> Act {
    Act::Upload { path, size, announced: true }
}

const fn unannounced(path: &'static str, size: usize) -> Act {
    Act::Upload { path, size, announced: false }
}

const NO_SIZE: &str = "its clients do not say how large a file is before they send it";
const BY_ID: &str = "REST names what is there by its id, and what is not there has none";
const NO_SESSION: &str = "one request is one session, which is not told; its entries name it";
const SSH_LOGIN: &str = "who logs in by SSH says only later whether he wants sftp or scp: it is told as sftp";

pub fn cases() -> Vec<Case> {
    let mut all = uploads();
    all.extend(uploads_that_end());
    all.extend(downloads());
    all.extend(changes());
    all.extend(folders());
    all.extend(sessions());
    all
}

fn uploads() -> Vec<Case> {
    let done = ["file.uploaded", "transfer.completed"];
    vec![
        Case::new("a new file", "hand", &[], upload("/new.txt", SMALL)).leaves("upload", "ok", &done),
        Case::new("a new file, of a size that is not announced", "hand", &[], unannounced("/new.txt", SMALL))
            .leaves("upload", "ok", &done)
            .cannot("scp", "it always says how large a file is"),
        Case::new("an empty file", "hand", &[], upload("/new.csv", 0)).leaves("upload", "ok", &done),
        Case::new("a file over another", "hand", &["/old.txt"], upload("/old.txt", SMALL))
            .leaves("upload", "ok", &done),
        Case::new("a file in a folder", "hand", &["/f/"], upload("/f/new.bin", SMALL)).leaves("upload", "ok", &done),
        Case::new("a temporary name, which arrives by its rename", "hand", &[], upload("/x.filepart", SMALL)).leaves(
            "upload",
            "ok",
            &[],
        ),
        Case::new("a new file without `upload`", "eye", &[], upload("/new.txt", SMALL)).refused("upload"),
        Case::new("a file over another without `overwrite`", "part", &["/old.txt"], upload("/old.txt", SMALL))
            .refused("upload"),
        Case::new("a name that is none", "hand", &[], upload(NO_NAME, SMALL)).refused("upload"),
        Case::new("a folder that is not there", "hand", &[], upload("/none/new.txt", SMALL)).fails("upload"),
        Case::new("a file in a file", "hand", &["/file"], upload("/file/new.txt", SMALL)).fails("upload"),
        Case::new("above the quota, as is announced", "poor", &[], upload("/new.txt", ABOVE_QUOTA))
            .refused("upload")
            .cannot("sftp", NO_SIZE)
            .cannot("ftps", NO_SIZE),
        Case::new("too large, as is announced", "hand", &[], upload("/new.txt", TOO_LARGE))
            .refused("upload")
            .cannot("sftp", NO_SIZE)
            .cannot("ftps", NO_SIZE),
    ]
}

/// Those that were begun, and became no file.
fn uploads_that_end() -> Vec<Case> {
    let refused = ["policy.violated", "transfer.failed", "upload.incomplete"];
    let announces = "it says how large a file is, and is refused before anything comes";
    vec![
        Case::new("above the quota, as is seen when it comes", "poor", &[], unannounced("/new.txt", ABOVE_QUOTA))
            .leaves("upload", "denied", &refused)
            .cannot("scp", announces),
        Case::new("above the quota, over another", "poor", &["/old.txt"], unannounced("/old.txt", ABOVE_QUOTA))
            .leaves("upload", "denied", &refused)
            .cannot("scp", announces),
        Case::new("too large, as is seen when it comes", "hand", &[], unannounced("/new.txt", TOO_LARGE))
            .leaves("upload", "denied", &refused)
            .cannot("scp", announces),
        // FTPS tells an end from a cut by TLS's close_notify, and the trail says that that was what was missing.
        Case::new("it breaks off", "hand", &[], Act::Break { path: "/half.txt" })
            .leaves("upload", "error", &["transfer.failed", "upload.incomplete"])
            .differs("ftps", &["error_message"]),
        Case::new("it breaks off, over another", "hand", &["/old.txt"], Act::Break { path: "/old.txt" })
            .leaves("upload", "error", &["transfer.failed", "upload.incomplete"])
            .differs("ftps", &["error_message"]),
    ]
}

fn downloads() -> Vec<Case> {
    let done = ["file.downloaded", "transfer.completed"];
    let whole = |path| Act::Download { path, from: 0 };
    vec![
        Case::new("a whole file", "hand", &["/a.txt"], whole("/a.txt")).leaves("download", "ok", &done),
        Case::new("a part of a file", "hand", &["/a.txt"], Act::Download { path: "/a.txt", from: 3 })
            .leaves("download", "ok", &done)
            .cannot("scp", "it gives whole files alone"),
        Case::new("a file that is not there", "hand", &[], whole("/none.txt")).fails("download"),
        Case::new("a file without `download`", "blind", &["/a.txt"], whole("/a.txt")).refused("download"),
        // What scp is told names its option.
        Case::new("a folder as a file", "hand", &["/f/"], whole("/f"))
            .fails("download")
            .differs("scp", &["error_message"]),
        Case::new("a name that is none, to be read", "hand", &[], whole(NO_NAME)).refused("download"),
    ]
}

fn changes() -> Vec<Case> {
    let rename = |from, to| Act::Rename { from, to };
    let copied = ["file.copied", "transfer.completed"];
    let no_copy = "FTP has no copy on the server's side";
    let opens = "SFTP opens the copy as an upload, which ends before anybody says that it is a copy";
    vec![
        Case::new("remove", "hand", &[A], Act::Delete { path: A }).leaves("delete", "ok", &["file.deleted"]).not_scp(),
        Case::new("remove without `delete`", "eye", &[A], Act::Delete { path: A }).refused("delete").not_scp(),
        Case::new("remove what is not there", "hand", &[], Act::Delete { path: A })
            .fails("delete")
            .not_scp()
            .cannot("api", BY_ID),
        Case::new("remove a folder as a file", "hand", &["/f/"], Act::Delete { path: "/f" }).fails("delete").not_scp(),
        Case::new("rename", "hand", &[A], rename(A, B)).leaves("rename", "ok", &["file.renamed"]).not_scp(),
        Case::new("rename over another", "hand", &[A, B], rename(A, B))
            .leaves("rename", "ok", &["file.renamed"])
            .not_scp(),
        Case::new("arrive by a rename", "hand", &["/x.filepart"], rename("/x.filepart", A))
            .leaves("rename", "ok", &["file.uploaded", "transfer.completed"])
            .not_scp(),
        Case::new("rename without `rename`", "eye", &[A], rename(A, B)).refused("rename").not_scp(),
        Case::new("rename over another without `overwrite`", "part", &[A, B], rename(A, B)).refused("rename").not_scp(),
        Case::new("rename to no name", "hand", &[A], rename(A, NO_NAME)).refused("rename").not_scp(),
        Case::new("rename into no folder", "hand", &[A], rename(A, "/none/b.txt")).fails("rename").not_scp(),
        // FTPS hears it at RNFR, which does not say yet what the new name is to be.
        Case::new("rename what is not there", "hand", &[], rename(A, B))
            .fails("rename")
            .not_scp()
            .cannot("api", BY_ID)
            .differs("ftps", &["path", "view_path", "previous_path", "name"]),
        // Whoever opens a file over SFTP reads it, and that is on record before he says what for.
        Case::new("copy", "hand", &[A], Act::Copy { from: A, to: B })
            .leaves("copy", "ok", &copied)
            .not_scp()
            .cannot("ftps", no_copy)
            .besides("sftp", "download", (1, 2)),
        Case::new("copy without `upload`", "eye", &[A], Act::Copy { from: A, to: B })
            .refused("copy")
            .not_scp()
            .cannot("ftps", no_copy)
            .cannot("sftp", opens),
        Case::new("touch", "hand", &[A], Act::Touch { path: A })
            .leaves("attributes", "ok", &["file.attributes_changed"])
            .not_scp(),
        Case::new("touch without `attributes`", "eye", &[A], Act::Touch { path: A }).refused("attributes").not_scp(),
        Case::new("touch what is not there", "hand", &[], Act::Touch { path: A })
            .fails("attributes")
            .not_scp()
            .cannot("api", BY_ID),
    ]
}

fn folders() -> Vec<Case> {
    let (mkdir, rmdir) = (Act::Mkdir { path: "/f" }, Act::Rmdir { path: "/f" });
    let list = Act::List { path: "/f" };
    let looks = "scp looks what a path is before it asks for anything: it is told as a download";
    let enters = "scp goes into a folder that is there";
    vec![
        Case::new("make a folder", "hand", &[], mkdir).leaves("mkdir", "ok", &["folder.created"]),
        Case::new("make a folder without `mkdir`", "eye", &[], mkdir).refused("mkdir"),
        Case::new("make a folder that is there", "hand", &["/f/"], mkdir).fails("mkdir").cannot("scp", enters),
        Case::new("rename a folder", "hand", &["/f/", "/f/a.txt"], Act::Rename { from: "/f", to: "/g" })
            .leaves("rename", "ok", &["folder.renamed"])
            .not_scp(),
        Case::new("remove a folder", "hand", &["/f/"], rmdir).leaves("rmdir", "ok", &["folder.deleted"]).not_scp(),
        Case::new("remove a folder without `delete`", "eye", &["/f/"], rmdir).refused("rmdir").not_scp(),
        Case::new("remove a folder that is not empty", "hand", &["/f/", "/f/a.txt"], rmdir).fails("rmdir").not_scp(),
        Case::new("remove a folder that is not there", "hand", &[], rmdir).fails("rmdir").not_scp(),
        Case::new("remove a file as a folder", "hand", &["/f"], rmdir).fails("rmdir").not_scp(),
        Case::new("list", "hand", &["/f/"], list).leaves("list", "ok", &[]),
        Case::new("list without `list`", "blind", &["/f/"], list).refused("list").cannot("scp", looks),
        Case::new("list what is not there", "hand", &[], list).fails("list").cannot("scp", looks),
    ]
}

fn sessions() -> Vec<Case> {
    vec![
        Case::new("a session", "hand", &[], Act::Session)
            .leaves("login", "ok", &["auth.succeeded", "session.opened"])
            .leaves("logout", "ok", &["session.closed"])
            .cannot("scp", SSH_LOGIN)
            .cannot("api", NO_SESSION),
        Case::new("a wrong password", "hand", &[], Act::WrongPassword)
            .leaves("login", "denied", &["auth.failed"])
            .cannot("scp", SSH_LOGIN)
            .cannot("api", "an API key that is wrong is nobody's, and belongs to no tenant"),
    ]
}
