//! The codec against itself: a small client's encoder and decoder, shared with the tests of the session.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::fields::{byte, put_string, string, uint32};
use super::*;

/// Writes a request as a client does, its length before it.
pub fn encode_request(id: u32, request: &Request) -> Bytes {
    let mut body = BytesMut::new();
    let mut begin = |kind: u8| {
        body.put_u8(kind);
        body.put_u32(id);
    };
    match request {
        Request::Open { path, flags, attributes } => {
            begin(kind::OPEN);
            put_string(&mut body, path);
            body.put_u32(flags.0);
            attributes.encode(&mut body);
        }
        Request::Close(h) | Request::Fstat(h) | Request::Readdir(h) => {
            begin(match request {
                Request::Close(_) => kind::CLOSE,
                Request::Fstat(_) => kind::FSTAT,
                _ => kind::READDIR,
            });
            put_string(&mut body, h);
        }
        Request::Read { handle, offset, length } => {
            begin(kind::READ);
            put_string(&mut body, handle);
            body.put_u64(*offset);
            body.put_u32(*length);
        }
        Request::Write { handle, offset, data } => {
            begin(kind::WRITE);
            put_string(&mut body, handle);
            body.put_u64(*offset);
            put_string(&mut body, data);
        }
        Request::Setstat(name, attributes) | Request::Fsetstat(name, attributes) | Request::Mkdir(name, attributes) => {
            begin(match request {
                Request::Setstat(..) => kind::SETSTAT,
                Request::Fsetstat(..) => kind::FSETSTAT,
                _ => kind::MKDIR,
            });
            put_string(&mut body, name);
            attributes.encode(&mut body);
        }
        Request::Lstat(path)
        | Request::Stat(path)
        | Request::Opendir(path)
        | Request::Remove(path)
        | Request::Rmdir(path)
        | Request::Realpath(path)
        | Request::Readlink(path) => {
            begin(match request {
                Request::Lstat(_) => kind::LSTAT,
                Request::Stat(_) => kind::STAT,
                Request::Opendir(_) => kind::OPENDIR,
                Request::Remove(_) => kind::REMOVE,
                Request::Rmdir(_) => kind::RMDIR,
                Request::Realpath(_) => kind::REALPATH,
                _ => kind::READLINK,
            });
            put_string(&mut body, path);
        }
        Request::Rename(a, b) | Request::Symlink(a, b) => {
            begin(if matches!(request, Request::Rename(..)) { kind::RENAME } else { kind::SYMLINK });
            put_string(&mut body, a);
            put_string(&mut body, b);
        }
        Request::Extended(extended) => {
            begin(kind::EXTENDED);
            encode_extended(extended, &mut body);
        }
        Request::Unknown(other) => begin(*other),
    }
    let mut packet = BytesMut::new();
    put_string(&mut packet, &body);
    packet.freeze()
}

fn encode_extended(extended: &Extended, body: &mut BytesMut) {
    let mut strings = |parts: &[&[u8]]| parts.iter().for_each(|part| put_string(body, part));
    match extended {
        Extended::PosixRename(a, b) => strings(&[b"posix-rename@openssh.com", a, b]),
        Extended::Hardlink(a, b) => strings(&[b"hardlink@openssh.com", a, b]),
        Extended::Statvfs(path) => strings(&[b"statvfs@openssh.com", path]),
        Extended::Fstatvfs(handle) => strings(&[b"fstatvfs@openssh.com", handle]),
        Extended::Fsync(handle) => strings(&[b"fsync@openssh.com", handle]),
        Extended::Limits => strings(&[b"limits@openssh.com"]),
        Extended::ExpandPath(path) => strings(&[b"expand-path@openssh.com", path]),
        Extended::HomeDirectory(user) => strings(&[b"home-directory", user]),
        Extended::Unknown(name) => strings(&[name]),
        Extended::Lsetstat(path, attributes) => {
            strings(&[b"lsetstat@openssh.com", path]);
            attributes.encode(body);
        }
        Extended::OwnersById(users, groups) => {
            let packed = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
            strings(&[b"users-groups-by-id@openssh.com", &packed(users), &packed(groups)]);
        }
        Extended::CopyData(Copying { from, offset, length, to, at }) => {
            strings(&[b"copy-data", from]);
            body.put_u64(*offset);
            body.put_u64(*length);
            put_string(body, to);
            body.put_u64(*at);
        }
        Extended::CheckHandle(what, hashing) | Extended::CheckName(what, hashing) => {
            let name: &[u8] = match extended {
                Extended::CheckName(..) => b"check-file-name",
                _ if hashing.echo => b"check-file",
                _ => b"check-file-handle",
            };
            strings(&[name, what, &hashing.algorithms]);
            body.put_u64(hashing.start);
            body.put_u64(hashing.length);
            body.put_u32(hashing.block);
        }
    }
}

/// The first packet of a client.
pub fn encode_init(version: u32) -> Bytes {
    let mut packet = BytesMut::new();
    packet.put_u32(5);
    packet.put_u8(kind::INIT);
    packet.put_u32(version);
    packet.freeze()
}

/// Reads a reply (without its length) as a client does. The code of a status is its number.
pub fn decode_reply(mut packet: Bytes) -> Option<(u32, Answer)> {
    let kind = byte(&mut packet).ok()?;
    let id = uint32(&mut packet).ok()?;
    let answer = match kind {
        kind::STATUS => {
            let code = uint32(&mut packet).ok()?;
            let message = String::from_utf8(string(&mut packet).ok()?.to_vec()).ok()?;
            string(&mut packet).ok()?;
            Answer::Status(code, message)
        }
        kind::HANDLE => Answer::Handle(string(&mut packet).ok()?),
        kind::DATA => Answer::Data(string(&mut packet).ok()?),
        kind::NAME => {
            let mut names = Vec::new();
            for _ in 0..uint32(&mut packet).ok()? {
                names.push(NameEntry {
                    name: String::from_utf8(string(&mut packet).ok()?.to_vec()).ok()?,
                    long_name: String::from_utf8(string(&mut packet).ok()?.to_vec()).ok()?,
                    attributes: FileAttributes::decode(&mut packet).ok()?,
                });
            }
            Answer::Names(names)
        }
        kind::ATTRS => Answer::Attributes(FileAttributes::decode(&mut packet).ok()?),
        kind::EXTENDED_REPLY => Answer::Extended(std::mem::take(&mut packet)),
        _ => return None,
    };
    packet.is_empty().then_some((id, answer))
}

/// A reply as a client sees it.
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Status(u32, String),
    Handle(Bytes),
    Data(Bytes),
    Names(Vec<NameEntry>),
    Attributes(FileAttributes),
    Extended(Bytes),
}

/// The extensions of a version reply, without its length.
pub fn decode_version(mut packet: Bytes) -> Option<Vec<(String, String)>> {
    if byte(&mut packet).ok()? != kind::VERSION || uint32(&mut packet).ok()? != VERSION {
        return None;
    }
    let mut pairs = Vec::new();
    while packet.has_remaining() {
        let mut text = || String::from_utf8(string(&mut packet).ok()?.to_vec()).ok();
        pairs.push((text()?, text()?));
    }
    Some(pairs)
}

fn some_bytes(limit: usize) -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..limit).prop_map(Bytes::from)
}

fn attributes() -> impl Strategy<Value = FileAttributes> {
    (any::<Option<u64>>(), any::<Option<(u32, u32)>>(), any::<Option<u32>>(), any::<Option<(u32, u32)>>())
        .prop_map(|(size, owner, permissions, times)| FileAttributes { size, owner, permissions, times })
}

fn requests() -> impl Strategy<Value = Request> {
    let name = || some_bytes(200);
    prop_oneof![
        (name(), any::<u32>(), attributes()).prop_map(|(path, flags, attributes)| Request::Open {
            path,
            flags: OpenFlags(flags),
            attributes
        }),
        name().prop_map(Request::Close),
        (name(), any::<u64>(), any::<u32>()).prop_map(|(handle, offset, length)| Request::Read {
            handle,
            offset,
            length
        }),
        (name(), any::<u64>(), some_bytes(2000)).prop_map(|(handle, offset, data)| Request::Write {
            handle,
            offset,
            data
        }),
        name().prop_map(Request::Lstat),
        name().prop_map(Request::Fstat),
        (name(), attributes()).prop_map(|(n, a)| Request::Setstat(n, a)),
        (name(), attributes()).prop_map(|(n, a)| Request::Fsetstat(n, a)),
        name().prop_map(Request::Opendir),
        name().prop_map(Request::Readdir),
        name().prop_map(Request::Remove),
        (name(), attributes()).prop_map(|(n, a)| Request::Mkdir(n, a)),
        name().prop_map(Request::Rmdir),
        name().prop_map(Request::Realpath),
        name().prop_map(Request::Stat),
        (name(), name()).prop_map(|(a, b)| Request::Rename(a, b)),
        name().prop_map(Request::Readlink),
        (name(), name()).prop_map(|(a, b)| Request::Symlink(a, b)),
        extended().prop_map(Request::Extended),
    ]
}

fn extended() -> impl Strategy<Value = Extended> {
    let name = || some_bytes(200);
    let numbers = || proptest::collection::vec(any::<u32>(), 0..20);
    let hashing = |echoes: bool| {
        (some_bytes(40), any::<(u64, u64, u32, bool)>()).prop_map(move |(algorithms, (start, length, block, echo))| {
            Hashing { algorithms, start, length, block, echo: echo && echoes }
        })
    };
    prop_oneof![
        (name(), name()).prop_map(|(a, b)| Extended::PosixRename(a, b)),
        (name(), name()).prop_map(|(a, b)| Extended::Hardlink(a, b)),
        name().prop_map(Extended::Statvfs),
        name().prop_map(Extended::Fstatvfs),
        name().prop_map(Extended::Fsync),
        (name(), attributes()).prop_map(|(n, a)| Extended::Lsetstat(n, a)),
        Just(Extended::Limits),
        name().prop_map(Extended::ExpandPath),
        name().prop_map(Extended::HomeDirectory),
        (numbers(), numbers()).prop_map(|(u, g)| Extended::OwnersById(u, g)),
        (name(), name(), any::<(u64, u64, u64)>())
            .prop_map(|(from, to, (offset, length, at))| Extended::CopyData(Copying { from, offset, length, to, at })),
        (name(), hashing(true)).prop_map(|(h, a)| Extended::CheckHandle(h, a)),
        (name(), hashing(false)).prop_map(|(n, a)| Extended::CheckName(n, a)),
        some_bytes(20).prop_map(Extended::Unknown),
    ]
}

fn split(packet: &Bytes) -> Bytes {
    let mut frames = Frames::new();
    frames.push(packet.clone());
    frames.take_packet().unwrap().unwrap()
}

proptest! {
    #[test]
    fn requests_round_trip(id: u32, request in requests()) {
        prop_assert_eq!(decode(split(&encode_request(id, &request))), Ok((id, request)));
    }

    #[test]
    fn a_cut_or_extended_request_is_malformed_and_keeps_its_id(id: u32, request in requests(), cut in 1usize..60) {
        let packet = split(&encode_request(id, &request));
        let cut = cut.min(packet.len() - 5);
        if cut > 0 {
            let short = decode(packet.slice(..packet.len() - cut));
            prop_assert_eq!(short.unwrap_err().id, Some(id));
        }
        if !matches!(request, Request::Extended(Extended::Unknown(_))) {
            let mut long = BytesMut::from(&packet[..]);
            long.put_slice(&vec![0; cut.max(1)]);
            prop_assert_eq!(decode(long.freeze()).unwrap_err().id, Some(id));
        }
    }

    #[test]
    fn no_packet_panics(kind in 0u8..=255, body in some_bytes(120)) {
        let mut packet = BytesMut::new();
        packet.put_u8(kind);
        packet.put_slice(&body);
        let packet = packet.freeze();
        let _ = decode(packet.clone());
        let _ = decode_init(packet);
        let _ = decode(body);
    }

    #[test]
    fn frames_do_not_depend_on_how_the_stream_is_cut(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..12),
        cuts in proptest::collection::vec(1usize..90, 1..20),
    ) {
        let mut stream = BytesMut::new();
        for body in &bodies {
            put_string(&mut stream, body);
        }
        let mut stream = stream.freeze();
        let mut frames = Frames::new();
        let mut seen = Vec::new();
        let mut cuts = cuts.iter().cycle();
        while stream.has_remaining() {
            frames.push(stream.split_to((*cuts.next().unwrap()).min(stream.len())));
            loop {
                let ready = frames.ready();
                let next = frames.take_packet().unwrap();
                prop_assert_eq!(ready, next.is_some());
                match next {
                    Some(frame) => seen.push(frame.to_vec()),
                    None => break,
                }
            }
        }
        prop_assert_eq!(seen, bodies);
        prop_assert_eq!(frames.held(), 0);
    }

    #[test]
    fn replies_round_trip(id: u32, data in some_bytes(3000), a in attributes(), name in ".{0,40}") {
        let entry = NameEntry { long_name: format!("-rw {name}"), name, attributes: a };
        let replies = [
            (Reply::Data(data.clone()), Answer::Data(data)),
            (Reply::Attributes(a), Answer::Attributes(a)),
            (Reply::Names(vec![entry.clone(), entry.clone()]), Answer::Names(vec![entry.clone(), entry])),
            (Reply::Handle(7), Answer::Handle(Bytes::from_static(&[0, 0, 0, 7]))),
            (Reply::ok(), Answer::Status(0, "done".into())),
        ];
        for (reply, answer) in replies {
            let mut output = BytesMut::new();
            let content = reply.encode(id, &mut output);
            output.extend_from_slice(&content.unwrap_or_default());
            let packet = split(&output.freeze());
            prop_assert_eq!(decode_reply(packet), Some((id, answer)));
        }
    }
}

#[test]
fn lengths_that_no_packet_has_are_refused() {
    let mut frames = Frames::new();
    frames.push(Bytes::from_static(&[0, 0, 0, 0]));
    assert_eq!(frames.take_packet(), Err(FrameError::Empty));
    let mut frames = Frames::new();
    frames.push(Bytes::from(vec![0xff; 4]));
    assert_eq!(frames.take_packet(), Err(FrameError::TooLong(u32::MAX)));
    let mut frames = Frames::new();
    let mut packet = BytesMut::new();
    put_string(&mut packet, &vec![1; MAX_PACKET]);
    frames.push(packet.freeze());
    assert_eq!(frames.take_packet().unwrap().unwrap().len(), MAX_PACKET);
}

#[test]
fn extended_attributes_are_read_over() {
    let mut packet = BytesMut::new();
    packet.put_u8(kind::SETSTAT);
    packet.put_u32(9);
    put_string(&mut packet, b"/a");
    packet.put_u32(0x8000_0004);
    packet.put_u32(0o644);
    packet.put_u32(1);
    put_string(&mut packet, b"acl@example");
    put_string(&mut packet, b"none");
    let attributes = FileAttributes { permissions: Some(0o644), ..FileAttributes::default() };
    assert_eq!(decode(packet.freeze()), Ok((9, Request::Setstat(Bytes::from_static(b"/a"), attributes))));

    // A count that the packet cannot hold ends at once.
    let mut packet = BytesMut::new();
    packet.put_u8(kind::SETSTAT);
    packet.put_u32(9);
    put_string(&mut packet, b"/a");
    packet.put_u32(0x8000_0000);
    packet.put_u32(u32::MAX);
    assert_eq!(decode(packet.freeze()).unwrap_err().id, Some(9));
}

#[test]
fn the_first_packet_is_init() {
    assert_eq!(decode_init(split(&encode_init(3))), Ok(3));
    assert_eq!(decode_init(split(&encode_init(6))), Ok(6));
    assert!(decode_init(split(&encode_request(1, &Request::Stat(Bytes::new())))).is_err());
    assert!(decode_init(Bytes::from_static(&[kind::INIT, 0, 0])).is_err());
}

#[test]
fn small_pieces_are_put_together() {
    let packets: Vec<u8> =
        (1u8..200).flat_map(|length| [&[0, 0, 0, length][..], &vec![length; length.into()]].concat()).collect();
    let mut frames = Frames::new();
    for byte in &packets {
        frames.push(Bytes::copy_from_slice(&[*byte]));
    }
    assert_eq!(frames.held(), packets.len());
    assert!(frames.pieces() < packets.len() / 1000, "{} pieces", frames.pieces());
    let taken = frames.take_packet().unwrap().unwrap();
    frames.push(Bytes::from_static(&[0, 0]));
    frames.push(Bytes::from_static(&[0, 1, 9]));
    for length in 2..200 {
        assert_eq!(frames.take_packet().unwrap().unwrap(), vec![length; length.into()]);
    }
    assert_eq!(frames.take_packet().unwrap().unwrap(), [9][..]);
    assert_eq!((taken, frames.held()), (Bytes::from_static(&[1]), 0));
}

#[test]
fn the_version_reply_offers_what_openssh_does() {
    let mut output = BytesMut::new();
    Reply::encode_version(&mut output);
    let pairs = decode_version(split(&output.freeze())).unwrap();
    let offered: Vec<(&str, &str)> = pairs.iter().map(|(name, version)| (name.as_str(), version.as_str())).collect();
    assert_eq!(offered, EXTENSIONS);
    for (name, version) in [("statvfs@openssh.com", "2"), ("fstatvfs@openssh.com", "2"), ("limits@openssh.com", "1")] {
        assert!(offered.contains(&(name, version)), "{name}");
    }
    assert!(!offered.iter().any(|(name, _)| name.starts_with("hardlink")));
}

#[test]
fn extended_replies_are_as_their_documents_say() {
    let body = |reply: Reply| {
        let mut output = BytesMut::new();
        assert_eq!(reply.encode(9, &mut output), None);
        let packet = split(&output.freeze());
        assert_eq!(&packet[..5], [201, 0, 0, 0, 9]);
        packet.slice(5..)
    };
    let limits = Limits { packet: 1, read: 2, write: 3, handles: 4 };
    assert_eq!(body(Reply::Limits(limits))[..], [1u64, 2, 3, 4].map(u64::to_be_bytes).concat());
    let status =
        FilesystemStatus { block: 512, blocks: 100, free: 40, files: 7, files_free: 6, flags: 2, name_max: 255 };
    let fields = [512u64, 512, 100, 40, 40, 7, 6, 6, 0, 2, 255];
    assert_eq!(body(Reply::Filesystem(status))[..], fields.map(u64::to_be_bytes).concat());
    let owners = body(Reply::Owners(vec!["ab", ""], vec![]));
    assert_eq!(owners[..], *b"\0\0\0\x0a\0\0\0\x02ab\0\0\0\0\0\0\0\0");
    let hashes = |echo| body(Reply::Hashes { echo, algorithm: "md5", hashes: vec![1, 2, 3] });
    assert_eq!(hashes(false)[..], *b"\0\0\0\x03md5\x01\x02\x03");
    assert_eq!(hashes(true)[..], *b"\0\0\0\x0acheck-file\0\0\0\x03md5\x01\x02\x03");
}
