//! Argon2id (RFC 9106) on memory that is kept from one computation to the next.
//!
//! A verification takes 19 MiB by default. Allocated anew each time, every thread of the pool leaves that much behind in
//! the allocator's arena of its own, and the kernel clears all its pages again for the next login.

use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};

/// Memory that no computation uses at the moment: as many pieces as there were computations at once.
pub(super) struct Arena {
    free: Mutex<Vec<Vec<Block>>>,
    /// Blocks of the largest piece that is kept.
    kept: usize,
}

impl std::fmt::Debug for Arena {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Arena").finish_non_exhaustive()
    }
}

impl Arena {
    /// Keeps pieces of so much memory at the most: one hash that costs far more than the others must not hold it for ever.
    pub(super) const fn keeping(kib: u32) -> Self {
        Self { free: Mutex::new(Vec::new()), kept: kib as usize }
    }

    /// Fills `output` with the hash of `password` under `salt`. Fails where the output's length is not the parameters' own,
    /// or the salt is too short (RFC 9106 section 3.1).
    pub(super) fn hash(
        &self,
        params: Params,
        password: &[u8],
        salt: &[u8],
        output: &mut [u8],
    ) -> Result<(), argon2::Error> {
        let blocks = params.block_count();
        let mut memory = self.free().pop().unwrap_or_default();
        if memory.len() < blocks {
            memory.resize(blocks, Block::new());
        }
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let used = memory.get_mut(..blocks).unwrap_or_default();
        let hashed = argon2.hash_password_into_with_memory(password, salt, output, used);
        if memory.len() <= self.kept {
            self.free().push(memory);
        }
        hashed
    }

    fn free(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_used_before_changes_no_hash() {
        let arena = Arena::keeping(1024);
        // More memory than before, less than before, and the same again.
        for kib in [64, 1024, 64, 128, 64] {
            let params = Params::new(kib, 2, 1, Some(32)).unwrap();
            let mut fresh = [0; 32];
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
                .hash_password_into(b"secret", b"some salt", &mut fresh)
                .unwrap();
            let mut reused = [0; 32];
            arena.hash(params, b"secret", b"some salt", &mut reused).unwrap();
            assert_eq!(reused, fresh);
            assert_eq!(arena.free().len(), 1);
        }
        let large = Params::new(1028, 1, 1, Some(32)).unwrap();
        arena.hash(large, b"secret", b"some salt", &mut [0; 32]).unwrap();
        assert_eq!(arena.free().len(), 0, "a larger piece is given back");
    }
}
