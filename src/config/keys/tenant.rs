//! The keys of a tenant.

use causeway_core::identity::texts::LOGIN_PROTOCOLS;
use causeway_core::identity::{Permission, Scope};

use super::Kind::{Any, Moment, Network, OneOf, Pattern, Secret, Size, Slug, TreePath, Url, Username};
use super::{Key, flag_or_text, map, number, table, tables, text, text_or_empty, texts, words};
use crate::config::ftps;
use crate::config::tenant::{api_key, remote};

/// `[[tenant]]`.
pub const TENANT: &[Key] = &[
    text("id", Slug, "The tenant's id.").required(),
    text_or_empty("quota", Size, "What its files may take together; by default any."),
    texts("trusted_user_ca_keys", Any, "CAs of OpenSSH user certificates: key lines, or files of them.").or("[]"),
    texts("revoked_keys", Any, "Files of revoked keys and certificates, KRL or text; read again when they change.")
        .or("[]"),
    text_or_empty("client_ca", Any, "PEM: TLS client certificates under these CAs are this tenant's alone.").or("\"\""),
    text_or_empty("client_crl", Any, "What these CAs have revoked; read again when it changes.").or("\"\""),
    texts("classifications", Slug, "The words by which files may be classified.")
        .or("[\"public\", \"internal\", \"confidential\", \"restricted\"]"),
    tables("mount", MOUNT, "Where content written below `at` is placed; one at \"/\" must be there."),
    tables("identity", IDENTITY, "What every protocol acts as."),
    tables("login", LOGIN, "A legacy login, and the identity that it becomes."),
    tables(
        "mapping",
        MAPPING,
        "A rule instead of a list of logins; logins win over rules, then the order of the file.",
    ),
    tables("api_key", API_KEY, "A key of the REST API."),
    tables("issuer", ISSUER, "An OpenID Connect provider whose tokens are accepted."),
    tables("oauth_client", OAUTH_CLIENT, "An application that acts for signed-in people."),
    tables("webhook", WEBHOOK, "Where events are posted to."),
    tables("remote", REMOTE, "Somebody else's endpoint, for transfers and routes."),
    tables("route", ROUTE, "A file that arrives goes on by itself."),
    tables("schedule", SCHEDULE, "A transfer at fixed times."),
    tables("policy", POLICY, "Attribute-based rules, the same for every protocol."),
];

const MOUNT: &[Key] = &[
    text("at", TreePath, "The path in the tenant's tree.").required(),
    text("storage", Slug, "The storage's name.").required(),
    text_or_empty("path", Any, "The folder or key prefix inside the storage; by default the tenant's id."),
];

fn scopes() -> Vec<&'static str> {
    Scope::ALL.iter().map(|scope| scope.as_str()).collect()
}

fn permissions() -> Vec<&'static str> {
    std::iter::once("*").chain(Permission::ALL.iter().map(|one| one.as_str())).collect()
}

const IDENTITY: &[Key] = &[
    text("id", Slug, "The identity's id.").required(),
    texts("scopes", OneOf(scopes), "What it may do at all; they bind every protocol.").or("[]"),
    text_or_empty("quota", Size, "What the files that it created may take; by default any."),
    tables("view", VIEW, "What it sees of the tree, and what it may do there; nothing else exists for it."),
];

const VIEW: &[Key] = &[
    text("at", TreePath, "Where the identity sees it.").required(),
    text("path", TreePath, "Where it is in the tenant's tree; by default the same."),
    texts("permissions", OneOf(permissions), "What may be done at and below it.").required(),
];

const LOGIN: &[Key] = &[
    text("username", Username, "The login; with `@` and the tenant behind it always works, too.").required(),
    text("identity", Slug, "The identity that it becomes.").required(),
    texts("protocols", OneOf(|| words(LOGIN_PROTOCOLS)), "By which it may come.").or("[\"sftp\"]"),
    text_or_empty("password_hash", Any, "An Argon2id PHC string from `causeway hash-password`, or a reference to it."),
    text_or_empty(
        "totp_secret",
        Secret,
        "The secret of its codes, from `causeway totp-secret`; `require` names totp then.",
    ),
    texts("authorized_keys", Any, "OpenSSH public key lines.").or("[]"),
    texts(
        "client_certificates",
        Pattern("^(sha256|san):.+$"),
        "TLS client certificates that it takes: \"sha256:…\", or \"san:…\" under the tenant's client_ca.",
    )
    .or("[]"),
    text(
        "require",
        Any,
        "\"any\", or what is needed together: publickey or certificate, password and totp with + between them.",
    )
    .or("\"any\""),
    texts("allow_from", Network, "Networks that it may come from; by default all.").or("[]"),
    text("home", TreePath, "Its start folder and root, inside the identity's view.").or("\"/\""),
    table("ftps", LOGIN_FTPS, "Rules of its own for FTPS, for old partners."),
];

const LOGIN_FTPS: &[Key] = &[
    text("session_reuse", OneOf(|| words(ftps::STRICTNESS)), "As in [ftps]."),
    text("close_notify", OneOf(|| words(ftps::STRICTNESS)), "As in [ftps]."),
];

const MAPPING: &[Key] = &[
    text("id", Slug, "The rule's id.").required(),
    texts("protocols", OneOf(|| words(LOGIN_PROTOCOLS)), "By which its logins may come.").or("[\"sftp\"]"),
    text("username", Any, "A regular expression over the whole name; its groups can stand in the two keys below.")
        .required(),
    text("identity", Slug, "The identity that they become.").required(),
    text("home", Any, "Their start folder and root, like \"/inbound/branch-${nr}\".").or("\"/\""),
    text_or_empty("authorized_keys_file", Any, "Each one's file of keys, relative to this file's folder.").or("\"\""),
    text("require", Any, "What they must prove, as for a login.").or("\"any\""),
    texts("allow_from", Network, "Networks that they may come from; by default all.").or("[]"),
];

const API_KEY: &[Key] = &[
    text("id", Slug, "The key's id, unique over the gateway.").required(),
    text("identity", Slug, "The identity that it acts as.").required(),
    text_or_empty("key_hash", Any, "The SHA-256 of the key in hex, from `causeway hash-key`, or a reference to it.")
        .required(),
    texts("scopes", OneOf(scopes), "Narrows the identity's; empty: all of them.").or("[]"),
    text_or_empty(
        "created",
        Moment,
        "When it was made, which its age counts from; by default when the gateway first saw it.",
    ),
    text_or_empty("expires", Moment, "When it ends.").or("\"\""),
    texts("allow_from", Network, "Networks that it may come from; by default all.").or("[]"),
    flag_or_text(
        "require_signature",
        OneOf(|| words(api_key::RULES)),
        "Whether its requests must be signed: \"message\" (true) by RFC 9421, \"any\" also by X-Signature.",
    )
    .or("false"),
    text("signing_secret", Secret, "What its requests are signed with by HMAC-SHA-256."),
    texts("signature_keys", Any, "Public keys that its requests are signed with: Ed25519, ECDSA on P-256."),
];

const ISSUER: &[Key] = &[
    text("url", Url, "Where discovery and keys come from.").required(),
    text("audience", Any, "What its tokens must be for.").required(),
    text("identity_claim", Any, "The claim whose value is an identity's id.").or("\"sub\""),
    text_or_empty("scope_claim", Any, "The claim with the scopes; empty: all that the identity may.").or("\"scope\""),
    texts(
        "authorized_parties",
        Any,
        "The clients that its tokens may be given to (`azp`, `client_id`); by default any.",
    )
    .or("[]"),
    map("identities", Slug, "Values of the claim, and the identities that they mean."),
];

const OAUTH_CLIENT: &[Key] = &[
    text("id", Slug, "The client's id.").required(),
    text_or_empty("secret_hash", Any, "The SHA-256 of its secret in hex; none: a public client."),
    text_or_empty("name", Any, "What people are told that it is called; by default its id."),
    texts("scopes", OneOf(scopes), "The most that it can be allowed; empty: whatever the person may.").or("[]"),
    texts("redirect_uris", Url, "Where answers may go; exact match.").required(),
];

const WEBHOOK: &[Key] = &[
    text("id", Slug, "The webhook's id.").required(),
    text("url", Url, "Where to.").required(),
    texts("events", Any, "Kinds of events, or groups like \"transfer.*\"; by default all."),
    text_or_empty("path", Any, "Only events about files under this glob, and those about no file.").or("\"\""),
    text("secret", Secret, "Signs the deliveries: whsec_ and base64, or any string.").required(),
    text_or_empty("ca", Any, "A PEM file of authorities that are believed beside the usual ones.").or("\"\""),
    text_or_empty("client_identity", Secret, "A client certificate with its private key: PEM."),
];

const REMOTE: &[Key] = &[
    text("name", Slug, "Its name, as in \"bank:/out/file.xml\".").required(),
    text("kind", OneOf(|| words(remote::KINDS)), "What it speaks.").required(),
    text("host", Any, "Its name or address."),
    number("port", 1, 65_535, "Its port."),
    text("username", Any, "The login there."),
    text_or_empty("password", Secret, "Its password."),
    text_or_empty("private_key", Secret, "Its private key."),
    text("host_key", Pattern("^SHA256:.+$"), "The fingerprint of the host's key."),
];

const ROUTE: &[Key] = &[
    text("id", Slug, "The route's id.").required(),
    text("identity", Slug, "As whom it reads and writes here.").required(),
    text("on", Any, "The kind of event."),
    text("path", Any, "The files that it is for."),
    text("to", Any, "A remote, or a folder of this gateway."),
    text("after", Pattern("^(keep|delete|move:.+)$"), "What becomes of the file then."),
];

const SCHEDULE: &[Key] = &[
    text("id", Slug, "The schedule's id.").required(),
    text("identity", Slug, "As whom it reads and writes here.").required(),
    text("cron", Any, "When: minute, hour, day of month, month, day of week."),
    text("timezone", Any, "Whose time, like \"Europe/Berlin\"."),
    text("source", Any, "Where from."),
    text("destination", Any, "Where to."),
];

const POLICY: &[Key] = &[text_or_empty("file", Any, "Its file; none: only views and scopes decide.")];
