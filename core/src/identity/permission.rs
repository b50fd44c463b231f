//! The words for what may be done: permissions of a view, scopes of an identity or key.

macro_rules! word_set {
    ($(#[$doc:meta])* $word:ident, $(#[$set_doc:meta])* $set:ident, $repr:ty, { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $word { $($(#[$vdoc])* $variant),* }

        impl $word {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word as the configuration and the API write it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The one with this word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        $(#[$set_doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Default)]
        pub struct $set($repr);

        impl $set {
            /// None of them.
            pub const NONE: Self = Self(0);

            /// All of them.
            pub fn all() -> Self { $word::ALL.iter().copied().collect() }

            /// Whether it holds this one.
            pub const fn has(self, word: $word) -> bool { self.0 & (1 << word as $repr) != 0 }

            /// With this one added.
            pub const fn with(self, word: $word) -> Self { Self(self.0 | (1 << word as $repr)) }

            /// Whether it is empty.
            pub const fn is_empty(self) -> bool { self.0 == 0 }

            /// What both hold.
            pub const fn and(self, other: Self) -> Self { Self(self.0 & other.0) }

            /// The words, in the order of their declaration.
            pub fn words(self) -> impl Iterator<Item = $word> { $word::ALL.iter().copied().filter(move |w| self.has(*w)) }
        }

        impl FromIterator<$word> for $set {
            fn from_iter<I: IntoIterator<Item = $word>>(words: I) -> Self {
                words.into_iter().fold(Self::NONE, Self::with)
            }
        }

        impl std::fmt::Debug for $set {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_set().entries(self.words().map($word::as_str)).finish()
            }
        }
    };
}

word_set! {
    /// What a view allows below one of its entries (SEMANTICS, "Permissions").
    Permission,
    /// A set of permissions.
    PermissionSet, u16, {
        /// See the entries of a folder.
        List = "list",
        /// Read content.
        Download = "download",
        /// Make a new file.
        Upload = "upload",
        /// Replace or change content.
        Overwrite = "overwrite",
        /// Take a name away from where it is.
        Rename = "rename",
        /// Delete files and folders.
        Delete = "delete",
        /// Make folders.
        Mkdir = "mkdir",
        /// Change times, modes, tags and classification.
        Attributes = "attributes",
    }
}

word_set! {
    /// What an identity or key may do at all (contract, `api.md`).
    Scope,
    /// A set of scopes.
    ScopeSet, u16, {
        /// See files.
        FilesRead = "files:read",
        /// Change files.
        FilesWrite = "files:write",
        /// See transfers.
        TransfersRead = "transfers:read",
        /// Start and end transfers.
        TransfersWrite = "transfers:write",
        /// Read events.
        EventsRead = "events:read",
        /// Read the audit trail.
        AuditRead = "audit:read",
        /// Manage webhooks.
        WebhooksWrite = "webhooks:write",
        /// Manage the own tenant.
        Admin = "admin",
        /// Operate the gateway.
        AdminGateway = "admin:gateway",
    }
}

impl ScopeSet {
    /// With what they imply: `admin` implies `events:read`, `audit:read` and `webhooks:write`; `admin:gateway`, which
    /// operates the gateway, implies `admin` and with it those. Neither implies anything of files.
    pub const fn whole(self) -> Self {
        let whole = if self.has(Scope::AdminGateway) { self.with(Scope::Admin) } else { self };
        if whole.has(Scope::Admin) {
            whole.with(Scope::EventsRead).with(Scope::AuditRead).with(Scope::WebhooksWrite)
        } else {
            whole
        }
    }

    /// Whether it allows what this scope allows.
    pub const fn allows(self, scope: Scope) -> bool {
        self.whole().has(scope)
    }

    /// What a credential leaves of it that was given these scopes alone; empty: all of it. What is implied can be given
    /// by itself: a key for `events:read` alone of an administrator.
    pub const fn narrowed(self, given: Self) -> Self {
        if given.is_empty() { self } else { self.whole().and(given) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_administration_implies() {
        let admin = ScopeSet::NONE.with(Scope::Admin);
        for scope in [Scope::EventsRead, Scope::AuditRead, Scope::WebhooksWrite, Scope::Admin] {
            assert!(admin.allows(scope), "{}", scope.as_str());
            assert!(ScopeSet::NONE.with(Scope::AdminGateway).allows(scope), "{}", scope.as_str());
        }
        for scope in [Scope::FilesRead, Scope::FilesWrite, Scope::TransfersRead, Scope::AdminGateway] {
            assert!(!admin.allows(scope), "{}", scope.as_str());
        }
        assert!(!ScopeSet::NONE.with(Scope::AdminGateway).allows(Scope::FilesRead));
        let events = ScopeSet::NONE.with(Scope::EventsRead);
        assert!(admin.narrowed(events) == events && admin.narrowed(ScopeSet::NONE) == admin);
        assert!(events.narrowed(admin).is_empty(), "nothing is gained");
    }
}
