//! Command lines (RFC 959 section 5.3): a verb, a space, the argument, which is everything behind that one space.

/// What must be there before a command is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: the few commands that are answered in clear.
    Nothing,
    /// TLS.
    Tls,
    /// TLS and a login.
    Login,
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $needs:ident, $usage:literal;)*) => {
        /// The commands that are known.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Verb { $($(#[$doc])* $variant),* }

        impl Verb {
            /// All of them, in the order of their words.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The command with its argument, for HELP and for 501.
            pub const fn usage(self) -> &'static str {
                match self { $(Self::$variant => $usage),* }
            }

            /// What must be there before it.
            pub const fn needs(self) -> Needs {
                match self { $(Self::$variant => Needs::$needs),* }
            }

            /// The one with this word, in upper case.
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    // RFC 775, and RFC 1123 section 4.1.3.1: the same under older names.
                    "XPWD" => Some(Self::Pwd),
                    "XCWD" => Some(Self::Cwd),
                    "XCUP" => Some(Self::Cdup),
                    "XMKD" => Some(Self::Mkd),
                    "XRMD" => Some(Self::Rmd),
                    _ => None,
                }
            }
        }
    };
}

verbs! {
    /// RFC 959.
    Abor = "ABOR", Login, "ABOR";
    /// RFC 959.
    Acct = "ACCT", Tls, "ACCT <account>";
    /// RFC 959.
    Allo = "ALLO", Login, "ALLO <bytes>";
    /// RFC 959.
    Appe = "APPE", Login, "APPE <file>";
    /// RFC 2228, RFC 4217.
    Auth = "AUTH", Nothing, "AUTH TLS";
    /// draft-peterson-streamlined-ftp-command-extensions.
    Avbl = "AVBL", Login, "AVBL [<folder>]";
    /// RFC 2228.
    Ccc = "CCC", Tls, "CCC";
    /// RFC 959.
    Cdup = "CDUP", Login, "CDUP";
    /// draft-peterson-streamlined-ftp-command-extensions, older form.
    Clnt = "CLNT", Nothing, "CLNT <client>";
    /// draft-peterson-streamlined-ftp-command-extensions.
    Csid = "CSID", Tls, "CSID Name=<client>; Version=<version>;";
    /// RFC 959.
    Cwd = "CWD", Login, "CWD <folder>";
    /// RFC 959.
    Dele = "DELE", Login, "DELE <file>";
    /// RFC 2428.
    Eprt = "EPRT", Login, "EPRT |<1 or 2>|<address>|<port>|";
    /// RFC 2428.
    Epsv = "EPSV", Login, "EPSV [1|2|ALL]";
    /// RFC 2389.
    Feat = "FEAT", Nothing, "FEAT";
    /// draft-bryan-ftpext-hash.
    Hash = "HASH", Login, "HASH <file>";
    /// RFC 959.
    Help = "HELP", Nothing, "HELP [<command>]";
    /// RFC 7151.
    Host = "HOST", Nothing, "HOST <name>";
    /// RFC 2640.
    Lang = "LANG", Tls, "LANG [<tag>]";
    /// RFC 959.
    List = "LIST", Login, "LIST [<path>]";
    /// RFC 3659.
    Mdtm = "MDTM", Login, "MDTM <file>";
    /// draft-somers-ftp-mfxx.
    Mff = "MFF", Login, "MFF <fact>=<value>;... <path>";
    /// draft-somers-ftp-mfxx.
    Mfmt = "MFMT", Login, "MFMT <YYYYMMDDHHMMSS> <path>";
    /// RFC 959.
    Mkd = "MKD", Login, "MKD <folder>";
    /// RFC 3659.
    Mlsd = "MLSD", Login, "MLSD [<folder>]";
    /// RFC 3659.
    Mlst = "MLST", Login, "MLST [<path>]";
    /// RFC 959.
    Mode = "MODE", Login, "MODE S|Z";
    /// RFC 959.
    Nlst = "NLST", Login, "NLST [<path>]";
    /// RFC 959.
    Noop = "NOOP", Tls, "NOOP";
    /// RFC 2389.
    Opts = "OPTS", Tls, "OPTS <command> [<options>]";
    /// RFC 959.
    Pass = "PASS", Tls, "PASS <password>";
    /// RFC 959.
    Pasv = "PASV", Login, "PASV";
    /// RFC 2228, RFC 4217.
    Pbsz = "PBSZ", Tls, "PBSZ 0";
    /// RFC 959.
    Port = "PORT", Login, "PORT <h1,h2,h3,h4,p1,p2>";
    /// RFC 2228, RFC 4217.
    Prot = "PROT", Tls, "PROT P";
    /// RFC 959.
    Pwd = "PWD", Login, "PWD";
    /// RFC 959.
    Quit = "QUIT", Nothing, "QUIT";
    /// RFC 959.
    Rein = "REIN", Tls, "REIN";
    /// RFC 959, RFC 3659.
    Rest = "REST", Login, "REST <offset>";
    /// RFC 959.
    Retr = "RETR", Login, "RETR <file>";
    /// RFC 959.
    Rmd = "RMD", Login, "RMD <folder>";
    /// RFC 959.
    Rnfr = "RNFR", Login, "RNFR <path>";
    /// RFC 959.
    Rnto = "RNTO", Login, "RNTO <path>";
    /// RFC 959.
    Site = "SITE", Login, "SITE CHMOD|UTIME|HELP ...";
    /// RFC 3659.
    Size = "SIZE", Login, "SIZE <file>";
    /// RFC 959.
    Stat = "STAT", Login, "STAT [<path>]";
    /// RFC 959.
    Stor = "STOR", Login, "STOR <file>";
    /// RFC 959.
    Stou = "STOU", Login, "STOU [<name>]";
    /// RFC 959.
    Stru = "STRU", Login, "STRU F";
    /// RFC 959.
    Syst = "SYST", Nothing, "SYST";
    /// RFC 959.
    Type = "TYPE", Login, "TYPE A|I";
    /// RFC 959.
    User = "USER", Tls, "USER <login>";
    /// CRC-32 of a file or of a part of it, as many servers and clients have it.
    Xcrc = "XCRC", Login, "XCRC <file> [<start> [<end>]]";
    /// MD5, likewise.
    Xmd5 = "XMD5", Login, "XMD5 <file> [<start> [<end>]]";
    /// SHA-1, likewise.
    Xsha1 = "XSHA1", Login, "XSHA1 <file> [<start> [<end>]]";
    /// SHA-256, likewise.
    Xsha256 = "XSHA256", Login, "XSHA256 <file> [<start> [<end>]]";
    /// SHA-512, likewise.
    Xsha512 = "XSHA512", Login, "XSHA512 <file> [<start> [<end>]]";
}

/// A command.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// What to do.
    pub verb: Verb,
    /// With what: all behind the first space. May be empty.
    pub argument: Vec<u8>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // An argument may be a password.
        write!(f, "{} ({} bytes)", self.verb.word(), self.argument.len())
    }
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It is empty, or does not begin with letters.
    NoVerb,
    /// Nobody knows this command.
    Unknown,
    /// A command of the RFCs that does not exist here.
    NotHere,
}

/// Reads a line.
pub fn parse(line: &[u8]) -> Result<Command, Malformed> {
    let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(end).ok_or(Malformed::NoVerb)?;
    if word.is_empty() || word.len() > 8 || !word.iter().all(u8::is_ascii_alphanumeric) {
        return Err(Malformed::NoVerb);
    }
    let word = String::from_utf8_lossy(word).to_ascii_uppercase();
    let argument = rest.get(1..).unwrap_or_default().to_vec();
    match Verb::parse(&word) {
        Some(verb) => Ok(Command { verb, argument }),
        None if matches!(word.as_str(), "SMNT" | "ADAT" | "MIC" | "CONF" | "ENC" | "LPRT" | "LPSV" | "RANG") => {
            Err(Malformed::NotHere)
        }
        None => Err(Malformed::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_argument_is_what_stands_behind_one_space() {
        let command = parse(b"stor  two spaces ").unwrap();
        assert_eq!((command.verb, command.argument.as_slice()), (Verb::Stor, &b" two spaces "[..]));
        assert_eq!(parse(b"NOOP").unwrap().argument, b"");
        assert_eq!(parse(b"XPWD").unwrap().verb, Verb::Pwd);
        assert_eq!(parse(b"XSHA512 a").unwrap().verb, Verb::Xsha512);
    }

    #[test]
    fn what_is_no_command_says_why() {
        assert_eq!(parse(b""), Err(Malformed::NoVerb));
        assert_eq!(parse(b" NOOP"), Err(Malformed::NoVerb));
        assert_eq!(parse(b"NO\0OP"), Err(Malformed::NoVerb));
        assert_eq!(parse(b"GET / HTTP/1.1"), Err(Malformed::Unknown));
        assert_eq!(parse(b"SMNT x"), Err(Malformed::NotHere));
    }

    #[test]
    fn words_are_told_apart_and_sorted() {
        let words: Vec<&str> = Verb::ALL.iter().map(|v| v.word()).collect();
        assert!(words.is_sorted());
        for verb in Verb::ALL {
            assert_eq!(Verb::parse(verb.word()), Some(*verb));
            assert!(verb.usage().starts_with(verb.word()));
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(format!("{:?}", parse(b"PASS secret").unwrap()), "PASS (6 bytes)");
    }

    proptest! {
        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }
    }
}
