//! The router and the description, grown together.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter};

use super::operation::Operation;
use crate::router::Shared;

/// A path with the methods that it takes.
pub struct Resource {
    path: &'static str,
    methods: MethodRouter<Arc<Shared>>,
    operations: Vec<(&'static str, Operation)>,
}

/// A path, with the names of its parameters in braces. It takes no method yet.
pub fn resource(path: &'static str) -> Resource {
    Resource { path, methods: MethodRouter::new(), operations: Vec::new() }
}

impl Resource {
    fn on<H, T>(mut self, filter: MethodFilter, name: &'static str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, Arc<Shared>>,
        T: 'static,
    {
        self.methods = self.methods.on(filter, handler);
        self.operations.push((name, operation));
        self
    }
}

macro_rules! methods {
    ($($function:ident $filter:ident $name:literal),*) => {
        impl Resource {
            $(
                #[doc = concat!("Takes ", $name, ", written in lower case as OpenAPI does.")]
                pub fn $function<H, T>(self, handler: H, operation: Operation) -> Self
                where
                    H: Handler<T, Arc<Shared>>,
                    T: 'static,
                {
                    self.on(MethodFilter::$filter, $name, handler, operation)
                }
            )*
        }
    };
}

methods!(get GET "get", head HEAD "head", post POST "post", put PUT "put", patch PATCH "patch", delete DELETE "delete",
    options OPTIONS "options");

/// Routes with their descriptions.
#[derive(Default)]
pub struct Routes {
    router: Router<Arc<Shared>>,
    /// Path, methods in lower case, and what each does.
    described: Vec<(&'static str, Vec<(&'static str, Operation)>)>,
}

impl Routes {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more path.
    pub fn add(mut self, resource: Resource) -> Self {
        self.router = self.router.route(resource.path, resource.methods);
        self.described.push((resource.path, resource.operations));
        self
    }

    /// Another spelling of a path: answered as that one, and described with it alone.
    pub fn also(mut self, resource: Resource) -> Self {
        self.router = self.router.route(resource.path, resource.methods);
        self
    }

    /// All routes of a group.
    pub fn merge(mut self, others: Self) -> Self {
        self.router = self.router.merge(others.router);
        self.described.extend(others.described);
        self
    }

    /// Changes the router: layers around what is there.
    pub fn around(self, change: impl FnOnce(Router<Arc<Shared>>) -> Router<Arc<Shared>>) -> Self {
        Self { router: change(self.router), described: self.described }
    }

    /// The paths with their operations.
    pub fn described(&self) -> &[(&'static str, Vec<(&'static str, Operation)>)] {
        &self.described
    }

    /// The router.
    pub fn into_router(self) -> Router<Arc<Shared>> {
        self.router
    }
}
