//! What clients are told who want of the gateway what it is not there for. The words go where SSH has a place for them: into
//! the refusal of a channel (RFC 4254 section 5.1), to the command's standard error, or else into a message for who looks on
//! (`SSH_MSG_DEBUG`, RFC 4253 section 11.3), as neither the refusal of a request of a channel nor that of a global one has any.

/// To those who want a shell.
pub(crate) const NO_SHELL: &str = "This is a file gateway: it has no shell. Use sftp or scp.";
/// To those who want ports or sockets forwarded, either way.
pub(crate) const NO_FORWARDING: &str = "This is a file gateway: it forwards nothing. Use sftp or scp.";
/// To those who want a window system.
pub(crate) const NO_X11: &str = "This is a file gateway: it has no X11. Use sftp or scp.";
/// To those who bring their agent.
pub(crate) const NO_AGENT: &str = "This is a file gateway: it takes no agent. Use sftp or scp.";
/// To those who want a terminal.
pub(crate) const NO_TERMINAL: &str = "This is a file gateway: it has no terminal. Use sftp or scp.";
/// To those who want another subsystem, or a second one on a channel.
pub(crate) const NO_SUBSYSTEM: &str =
    "This is a file gateway: its one subsystem is sftp, once on each channel. Use sftp or scp.";
/// To those who want a channel of another kind.
pub(crate) const NO_CHANNEL: &str = "This is a file gateway: it has no channels of this kind. Use sftp or scp.";
