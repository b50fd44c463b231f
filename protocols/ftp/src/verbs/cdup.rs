//! CDUP (RFC 959 section 4.1.1).

use crate::session::{Conversation, Turn};

pub(super) async fn run(talk: &mut Conversation) -> Turn {
    super::cwd::change(talk, b"..", 200).await
}
