//! From what a client sends to paths.

use causeway_core::VirtualPath;
use causeway_core::events::Operation;

use super::Conversation;
use crate::wire::{Reply, Verb};

impl Conversation {
    /// The path that an argument names, which must be there.
    pub(crate) async fn path(
        &mut self,
        verb: Verb,
        operation: Operation,
        argument: &[u8],
    ) -> Result<VirtualPath, Reply> {
        if argument.is_empty() {
            return Err(missing(verb));
        }
        self.path_or_folder(operation, argument).await
    }

    /// The path that an argument names, or the current folder where there is none.
    pub(crate) async fn path_or_folder(&mut self, operation: Operation, argument: &[u8]) -> Result<VirtualPath, Reply> {
        let resolved = VirtualPath::resolve(&self.inside()?.folder, argument);
        match resolved {
            Ok(path) => Ok(path),
            Err(error) => {
                self.refuse(operation, &String::from_utf8_lossy(argument), &error).await;
                Err(error.into())
            }
        }
    }
}

/// A command came without its argument, or with a wrong one.
pub(crate) fn missing(verb: Verb) -> Reply {
    Reply::new(501, format!("the argument is missing or wrong; send {}", verb.usage()))
}
