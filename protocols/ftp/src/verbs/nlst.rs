//! NLST (RFC 959 section 4.1.3): names that can be sent back as they are (RFC 1123 section 4.1.2.7), so with the folder that
//! the client named before them.

use crate::session::{Conversation, Turn};
use crate::transfer::listing::{Found, Shape, find, without_options};

pub(super) async fn run(talk: &mut Conversation, argument: &[u8]) -> Turn {
    let argument = without_options(argument);
    let found = find(talk, argument).await?;
    let named = String::from_utf8_lossy(argument);
    let before = match &found {
        Found::Folder(_, None) if named.is_empty() || named == "." || named == "./" => String::new(),
        Found::Folder(_, None) if named.ends_with('/') => named.into_owned(),
        Found::Folder(_, None) => format!("{named}/"),
        // Of a pattern or a file, what stands before the last part.
        Found::Folder(_, Some(_)) | Found::File(_) => {
            named.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default()
        }
    };
    super::list::begin(talk, found, Shape::Names(before))
}
