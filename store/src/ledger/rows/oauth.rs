//! The rows of OAuth 2.0.

use causeway_core::records::{Grant, RefreshToken, SignIn};

use crate::ledger::driver::{Columns, Json, Outcome, Record, Row};

impl Record for SignIn {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            hash: columns.take()?,
            tenant: columns.take()?,
            identity: columns.take()?,
            login: columns.take()?,
            factors: columns.take()?,
            complete: columns.take()?,
            mark: columns.take()?,
            request: columns.take::<Json<_>>()?.0,
            created_at: columns.take()?,
            expires_at: columns.take()?,
        })
    }
}

impl Record for Grant {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            id: columns.take()?,
            tenant: columns.take()?,
            client: columns.take()?,
            identity: columns.take()?,
            login: columns.take()?,
            factors: columns.take()?,
            mark: columns.take()?,
            scopes: columns.take()?,
            redirect_uri: columns.take()?,
            redirect_named: columns.take()?,
            challenge: columns.take()?,
            code_hash: columns.take()?,
            code_expires_at: columns.take()?,
            code_spent_at: columns.maybe()?,
            created_at: columns.take()?,
            ends_at: columns.take()?,
            revoked_at: columns.maybe()?,
        })
    }
}

impl Record for RefreshToken {
    fn read<R: Row>(columns: &mut Columns<'_, R>) -> Outcome<Self> {
        Ok(Self {
            hash: columns.take()?,
            tenant: columns.take()?,
            grant: columns.take()?,
            created_at: columns.take()?,
            expires_at: columns.take()?,
            spent_at: columns.maybe()?,
        })
    }
}
