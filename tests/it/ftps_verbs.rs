//! Every verb × {before TLS, before the login, no permission, bad argument, good}: golden transcripts. `UPDATE_GOLDEN=1`
//! writes them anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use causeway_ftp::wire::Verb;
use regex::Regex;

use crate::harness::{Ftps, Gateway, Ledger, Plan};

/// A transcript: what the client says, and what comes back. In a line, `<` and text behind a command is uploaded, and `>`
/// behind it means that data comes.
async fn play(client: &mut Ftps, script: &str) -> String {
    let mut out = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        writeln!(out, "> {line}").unwrap();
        let said = if let Some((command, text)) = line.split_once(" < ") {
            client.put(command, text.replace("\\n", "\r\n").as_bytes()).await
        } else if let Some(command) = line.strip_suffix(" >") {
            let (data, said) = client.get(command).await;
            for line in String::from_utf8(data).unwrap().lines() {
                writeln!(out, "| {line}").unwrap();
            }
            said
        } else {
            client.say(line).await
        };
        for line in said.lines() {
            writeln!(out, "  {line}").unwrap();
        }
    }
    normal(&out)
}

/// What differs from run to run is replaced.
pub fn normal(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, with) in [
        (r"unique=[0-9a-f]{32};", "unique=ID;"),
        (r"(modify|create)=20[0-9]{12};", "$1=TIME;"),
        (r"\b(213|Modify=)( ?)20(2[5-9]|[3-9][0-9])[0-9]{10}", "$1${2}TIME"),
        (r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-9]{2} [0-9]{2}:[0-9]{2}", "MONTH DAY TIME"),
        (r"\(\|\|\|[0-9]+\|\)", "(|||PORT|)"),
        (r"\(127,0,0,1,[0-9]+,[0-9]+\)", "(127,0,0,1,PORT)"),
        (r"\.[0-9a-f]{12}\b", ".UNIQUE"),
        (r"control connection: .*", "control connection: CIPHER"),
        (r"> AVBL(.*)\n  213 [0-9]+", "> AVBL$1\n  213 ROOM"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, with).into_owned();
    }
    text
}

/// Compares with the file of that name.
pub fn golden(name: &str, transcript: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(format!("ftps_{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, transcript).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let differing = written.lines().zip(transcript.lines()).find(|(a, b)| a != b);
    assert_eq!(
        written, transcript,
        "{name}: first difference {differing:?}; run with UPDATE_GOLDEN=1 to write it anew"
    );
}

/// Every verb in a script at least once.
fn assert_complete(script: &str, except: &[Verb]) {
    for verb in Verb::ALL {
        let there = script.lines().any(|line| line.split_ascii_whitespace().next() == Some(verb.word()));
        assert!(there || except.contains(verb), "{} is missing", verb.word());
    }
}

/// Each verb as it is sent when it is meant.
const PLAIN: &str = "
    ABOR\nACCT a\nALLO 10\nAPPE f\nAVBL\nCCC\nCDUP\nCLNT test\nCSID Name=test; Version=1;\nCWD inbound\nDELE f\nEPRT |1|127.0.0.1|5000|
    EPSV\nFEAT\nHASH f\nHELP\nHELP SITE\nHELP RETR\nHELP XYZ\nHOST acme\nLANG EN\nLIST\nMDTM f\nMFF modify=20200101000000; f\nMFMT 20200101000000 f\nMKD d\nMLSD\nMLST
    MODE S\nNLST\nNOOP\nOPTS UTF8 ON\nPASS secret\nPASV\nPBSZ 0\nPORT 127,0,0,1,20,0\nPROT P\nPWD\nREIN\nREST 0\nRETR f
    RMD d\nRNFR f\nRNTO g\nSITE HELP\nSIZE f\nSTAT\nSTAT f\nSTOR f\nSTOU\nSTRU F\nSYST\nTYPE I\nUSER nobody01\nXCRC f
    XMD5 f\nXSHA1 f\nXSHA256 f\nXSHA512 f\nXPWD\nSMNT x\nNONSENSE\nGET / HTTP/1.1
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_tls_and_before_the_login() {
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    assert_complete(PLAIN, &[Verb::Auth, Verb::Quit]);
    let mut client = Ftps::connect(&gateway, &rustls::version::TLS13).await;
    golden("before_tls", &play(&mut client, &format!("{PLAIN}\nAUTH\nAUTH KERBEROS")).await);
    client.secure().await;
    let script = format!("{}\nAUTH TLS\nPASS secret\nQUIT", PLAIN.replace("PASS secret", "PROT P\nPROT C"));
    golden("before_login", &play(&mut client, &script).await);
    assert!(client.is_closed().await);
}

async fn filled(plan: Plan) -> Gateway {
    let gateway = plan.start().await;
    let rest = gateway.rest("orders");
    for (folder, name) in [("/inbound", "f.csv"), ("/inbound", "g.txt"), ("/partners", "p.csv")] {
        assert_eq!(rest.upload(folder, name, b"0123456789", false).await.status, 201);
    }
    gateway
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_permission() {
    let gateway = filled(Plan::new(Ledger::Sqlite).person("blind01", &["upload"])).await;
    // `list` and `download` alone.
    let mut reader = Ftps::login(&gateway, "reader01").await;
    let mut transcript = play(
        &mut reader,
        "CWD inbound\nSTOR new < x\nSTOR f.csv < x\nAPPE f.csv < x\nAPPE new < x\nSTOU < x\nDELE f.csv\nMKD d\nRMD /partners
         RNFR f.csv\nRNTO h.csv\nMFMT 20200101000000 f.csv\nMFF UNIX.mode=0600; f.csv\nSITE CHMOD 600 f.csv
         SITE UTIME 20200101000000 f.csv\nREST 3\nSTOR f.csv < x\nMLST f.csv\nRETR f.csv >",
    )
    .await;
    // `list` and `upload` in what is called /inbound elsewhere, alone.
    let mut dropper = Ftps::login(&gateway, "drop01").await;
    transcript += &play(
        &mut dropper,
        "RETR f.csv >\nHASH f.csv\nXMD5 f.csv\nXCRC f.csv\nXSHA1 f.csv\nXSHA256 f.csv\nXSHA512 f.csv\nDELE f.csv\nMKD d
         STOR f.csv < x\nAPPE f.csv < x\nSTOR new < x\nDELE new\nRNFR new\nRNTO other\nMLST f.csv\nCWD /nowhere
         LIST /nowhere >\nMLSD /nowhere >\nSIZE /nowhere/x\nMDTM /nowhere\nMLST /nowhere\nSTAT /nowhere\nAVBL /nowhere",
    )
    .await;
    // `upload` alone: nothing can be looked at.
    let mut blind = Ftps::login(&gateway, "blind01").await;
    transcript += &play(
        &mut blind,
        "PWD\nCWD d\nCWD /\nCDUP\nLIST >\nLIST f.csv >\nNLST >\nMLSD >\nMLST f.csv\nMLST\nSTAT f.csv\nSTAT /\nSIZE f.csv\nMDTM f.csv\nAVBL
         RETR f.csv >\nHASH f.csv\nXMD5 f.csv\nRNFR f.csv\nSTOR mine < x\nSTOU < x\nAPPE f.csv < x\nSIZE mine\nDELE mine\nMKD d\nRMD d",
    )
    .await;
    golden("no_permission", &transcript);
    // Whatever a permission is needed for was refused here for the lack of it.
    let mut refused = Vec::new();
    let mut asked = "";
    for line in transcript.lines() {
        match line.strip_prefix("> ") {
            Some(command) => asked = command.split(' ').next().unwrap(),
            None if line.starts_with("  550 permission denied") || line.starts_with("  550 no such") => {
                refused.push(asked);
            }
            None => {}
        }
    }
    for verb in [
        "APPE", "AVBL", "CWD", "DELE", "HASH", "LIST", "MDTM", "MFF", "MFMT", "MKD", "MLSD", "MLST", "NLST", "RETR",
        "RMD", "RNTO", "SITE", "SIZE", "STAT", "STOR", "STOU", "XCRC", "XMD5", "XSHA1", "XSHA256", "XSHA512",
    ] {
        assert!(refused.contains(&verb), "{verb} is not refused to anybody");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_arguments() {
    let gateway = filled(Plan::new(Ledger::Sqlite)).await;
    let mut client = Ftps::login(&gateway, "edi01").await;
    let script = "
        CWD /inbound\nALLO\nALLO x\nALLO 99999999999999999999\nALLO 999999999999999\nAPPE\nAPPE /inbound < x\nAUTH TLS\nAVBL f.csv\nCWD\nCWD f.csv\nCWD none
        DELE\nDELE none\nDELE /inbound\nEPRT |1|127.0.0.1|5000|\nEPSV 2\nEPSV x\nHASH\nHASH none\nHASH /inbound\nHOST acme
        HOST\nLANG DE\nLIST none >\nLIST f.csv/x >\nMDTM\nMDTM none\nMFF\nMFF modify=1; f.csv\nMFF owner=1; f.csv\nMFF modify=20200101000000 f.csv
        MFF modify=20200101000000; \nMFMT\nMFMT 1 f.csv\nMFMT 20200101000000 none\nMFMT 20200101000000\nMKD\nMKD /inbound\nMKD a/b\nMLSD f.csv >\nMLST none
        MODE\nMODE B\nMODE X\nNLST none >\nOPTS\nOPTS X\nOPTS UTF8 OFF\nOPTS HASH SHA-3\nOPTS MODE Z LEVEL 9\nMODE Z\nPASS again\nPBSZ x\nPROT\nPROT C
        PROT S\nPROT X\nPORT 127,0,0,1,20,0\nREST\nREST x\nREST -1\nREST 9223372036854775808\nREST 99999999999999999999\nRETR\nRETR none >\nRETR /inbound >
        REST 11\nRETR f.csv >\nREST 11\nSTOR f.csv < x\nREST 5\nSTOR none < x\nREST 4\nAPPE f.csv < x\nREST 1\nSTOU < x\nRMD\nRMD f.csv\nRMD none
        RMD /inbound\nRNFR\nRNFR none\nRNTO x\nRNFR f.csv\nNOOP\nRNTO /nowhere/x\nRNFR f.csv\nPWD\nRNTO x\nSITE\nSITE EXEC ls\nSITE CHMOD 999 f.csv\nSITE CHMOD 600
        SITE UTIME x\nSITE UTIME 20200101000000 none\nSIZE\nSIZE none\nSIZE /inbound\nSTAT none\nSTOR\nSTOR /inbound < x\nSTOR none/x < x\nSTRU\nSTRU R\nSTRU X
        TYPE\nTYPE E\nTYPE A T\nTYPE X\nTYPE L 7\nUSER\nXCRC\nXCRC none\nXMD5 \"f.csv\" 5 4\nXSHA1 \"f.csv\" 0 11\nXSHA256 \"f.csv\nXSHA512 \"f.csv\" x
        CCC\nXYZZY\nSMNT /";
    let mut transcript = play(&mut client, script).await;
    // Without a data connection, and names that are none.
    transcript +=
        &play(&mut client, "TYPE A\nSIZE f.csv\nTYPE I\nEPSV ALL\nPASV\nPORT 127,0,0,1,20,0\nRETR f.csv").await;
    client.raw(b"CWD \xc3\x28\r\n").await.unwrap();
    writeln!(transcript, "> CWD (no UTF-8)\n  {}", client.reply().await).unwrap();
    client.raw("MKD e\u{301}\r\n".as_bytes()).await.unwrap();
    writeln!(transcript, "> MKD (not composed)\n  {}", client.reply().await).unwrap();
    client.raw(format!("MKD {}\r\n", "n".repeat(256)).as_bytes()).await.unwrap();
    writeln!(transcript, "> MKD (256 bytes)\n  {}", client.reply().await).unwrap();
    transcript += &play(&mut client, "CWD ../../../..\nPWD\nCCC\nQUIT").await;
    golden("bad_argument", &transcript);
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_commands() {
    let gateway = filled(Plan::new(Ledger::Sqlite).ftps("mode_z = true")).await;
    let mut client = Ftps::login(&gateway, "edi01").await;
    let script = "
        FEAT\nSYST\nHELP\nHELP STOR\nSITE HELP\nNOOP\nACCT x\nCLNT test\nCSID Name=test; Version=1;\nLANG\nLANG en-GB\nOPTS UTF8 ON\nOPTS UTF-8\nPWD\nCWD inbound\nPWD\nXPWD\nCDUP
        CWD ~\nCWD inbound\nSTRU F\nMODE S\nTYPE A\nTYPE A N\nTYPE L 8\nTYPE I\nPBSZ 0\nPROT P\nALLO 10\nALLO 10 R 20\nAVBL\nAVBL /inbound\nPASV\nEPSV\nEPSV 1
        SIZE f.csv\nMDTM f.csv\nMLST f.csv\nMLST\nMLST /\nSTAT\nSTAT f.csv\nSTAT -l /inbound\nSTAT *.csv\nLIST >\nLIST -la >\nLIST -a / >\nLIST f.csv >\nLIST *.csv >\nLIST *.none >\nLIST / >
        NLST >\nNLST . >\nNLST *.csv >\nNLST /inbound >\nNLST ../inbound/*.txt >\nNLST f.csv >\nMLSD >\nMLSD / >\nOPTS MLST type;size;perm;\nMLSD >\nOPTS MLST\nMLST f.csv\nFEAT
        RETR f.csv >\nREST 7\nRETR f.csv >\nREST 10\nRETR f.csv >\nTYPE A\nSTOR text.txt < one\\ntwo\\n\nRETR text.txt >\nTYPE I\nRETR text.txt >\nSTOR new.csv < hello\nSTOR new.csv < hello again\nRETR new.csv >
        REST 5\nSTOR new.csv <  you\nRETR new.csv >\nAPPE new.csv < !\nREST 10\nAPPE new.csv < ?\nRETR new.csv >\nAPPE made.csv < made\nRETR made.csv >\nSTOU < unique\nSTOU report < unique
        HASH f.csv\nOPTS HASH\nOPTS HASH MD5\nHASH f.csv\nOPTS HASH CRC32\nHASH f.csv\nOPTS HASH SHA-1\nHASH f.csv\nOPTS HASH SHA-512\nHASH f.csv\nFEAT\nXCRC f.csv\nXMD5 f.csv\nXSHA1 f.csv\nXSHA256 f.csv\nXSHA512 f.csv
        XMD5 \"f.csv\" 5\nXMD5 \"f.csv\" 5 7\nMFMT 20200102030405 f.csv\nMDTM f.csv\nMFF modify=20210102030405;UNIX.mode=0640; f.csv\nMLST f.csv\nSITE CHMOD 600 f.csv
        SITE UTIME 20220102030405 f.csv\nMDTM f.csv\nSITE UTIME f.csv 20230102030405 20230102030405 20230102030405 UTC\nMDTM f.csv\nLIST f.csv >\nMKD sub folder\nMKD sub folder/below
        MKD quote\"d\nCWD quote\"d\nCDUP\nRMD quote\"d\nRNFR new.csv\nRNTO sub folder/moved.csv\nRNFR sub folder/moved.csv\nRNTO f.csv\nRETR f.csv >\nRNFR sub folder\nRNTO folder\nRMD folder/below\nRMD folder\nDELE f.csv
        OPTS MODE Z LEVEL 9\nMODE Z\nMODE S\nREST 0\nABOR\nREIN\nPWD\nUSER edi01\nQUIT";
    assert_complete(script, &[Verb::Auth, Verb::Pass, Verb::Host, Verb::Port, Verb::Eprt, Verb::Ccc]);
    let transcript = play(&mut client, script).await;
    golden("good", &transcript);
    assert!(client.is_closed().await);
}

/// PORT and EPRT, where the operator has switched them on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn active_mode() {
    let gateway = filled(Plan::new(Ledger::Sqlite).ftps("active_mode = true")).await;
    let mut client = Ftps::connect(&gateway, &rustls::version::TLS13).await;
    let mut transcript = play(&mut client, "PORT 127,0,0,1,20,0\nEPRT |1|127.0.0.1|5120|").await;
    client.secure().await;
    transcript += &play(&mut client, "PORT 127,0,0,1,20,0\nEPRT |1|127.0.0.1|5120|").await;
    client.enter("edi01").await;
    let script = "
        FEAT\nPORT\nPORT 127,0,0,1,20\nPORT 127,0,0,1,20,256\nPORT 127,0,0,1,3,255\nPORT 127,0,0,2,20,0\nPORT 10,0,0,1,0,22\nPORT 127,0,0,1,20,0
        EPRT\nEPRT |1|127.0.0.1|\nEPRT |3|127.0.0.1|5120|\nEPRT |2|::1|5120|\nEPRT |1|127.0.0.1|1023|\nEPRT |1|127.0.0.2|5120|\nEPRT |1|127.0.0.1|99999|
        EPRT |1|127.0.0.1|5120|\nEPRT !1!127.0.0.1!5120!\nEPSV ALL\nPORT 127,0,0,1,20,0\nEPRT |1|127.0.0.1|5120|\nQUIT";
    transcript += &play(&mut client, script).await;
    golden("active", &transcript);
    assert!(client.is_closed().await);
}
