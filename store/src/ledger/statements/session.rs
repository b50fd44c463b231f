//! The session of a ledger: a connection with whose rows its statements may see. Beside the ports, which are made of it.

/// Makes the type `Session`.
macro_rules! session_type {
    () => {
        /// A connection that statements run on, and the first of them that failed.
        pub(in crate::ledger) struct Session<C> {
            pub(in crate::ledger) connection: C,
            /// Whose rows the statements may see.
            reach: Reach,
            /// The first statement that failed. A transaction with one must not be committed, whatever its work
            /// returned: PostgreSQL could not, and both databases are to do the same.
            pub(in crate::ledger) failure: Option<Failure>,
            /// What measures how long the connection is held; dropped behind it.
            timer: Option<Timer>,
        }

        impl<C> Session<C> {
            pub(in crate::ledger) const fn new(connection: C, reach: Reach) -> Self {
                Self { connection, reach, failure: None, timer: None }
            }

            fn judged<T>(&mut self, outcome: Outcome<T>) -> Result<T> {
                outcome.map_err(|error| {
                    let failure = judge(&error);
                    let answer = failure.error.clone();
                    self.failure.get_or_insert(failure);
                    answer
                })
            }
        }
    };
}

pub(crate) use session_type;
