//! Which plan a request gets: that of the application as it is when the request comes.

use super::plan::{Paces, Plan, Table};
use crate::conn::Request;
use crate::http::Method;
use crate::http::forwarded::Counts;
use crate::py::face::application::App;
use crate::py::face::internal;
use crate::py::face::state::RequestState;
use crate::py::route::Found;
use pyo3::intern;
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest name of a host in bytes (RFC 1035 2.3.4).
const HOST: usize = 255;

/// An application and the table that was built of it last.
pub struct Planner {
    app: Py<PyAny>,
    generation: Arc<AtomicU64>,
    paces: Arc<Paces>,
    table: Option<Table>,
}

impl Planner {
    pub fn new(app: Py<PyAny>, generation: Arc<AtomicU64>, paces: Arc<Paces>) -> Self {
        Self {
            app,
            generation,
            paces,
            table: None,
        }
    }

    pub(super) fn table(&mut self) -> Option<&mut Table> {
        self.table.as_mut()
    }

    /// Gives up a table whose classes or signals have changed: asked once a turn.
    pub fn look(&mut self, py: Python<'_>) {
        if self
            .table
            .as_mut()
            .is_some_and(|table| !table.watch.is_unchanged(py))
        {
            self.table = None;
        }
    }

    /// Compares generations and builds the table anew if the application has changed. Every request does it: a
    /// change made by a view holds for the next request of the same batch.
    pub fn refresh(&mut self, py: Python<'_>) -> PyResult<Arc<App>> {
        let generation = self.generation.load(Ordering::Acquire);
        if self
            .table
            .as_ref()
            .is_none_or(|table| table.generation != generation)
        {
            self.table = Some(Table::build(py, &self.app, generation, &self.paces)?);
        }
        match &self.table {
            Some(table) => Ok(Arc::clone(&table.app)),
            None => Err(internal("the application has no table")),
        }
    }

    /// Matches the request and finds its plan. An error here is the application's (a converter raised, say).
    pub fn plan(&mut self, py: Python<'_>, state: &Bound<'_, RequestState>) -> PyResult<Arc<Plan>> {
        let Some(table) = self.table.as_mut() else {
            return Err(internal("the application has no table"));
        };
        let found = {
            let this = state.try_borrow()?;
            let request = this.request();
            match request.host() {
                // Longer than a name can be: the dialect refuses it.
                Some(host) if host.len() > HOST => Found::Python,
                _ => table.router.get().find(py, request, table.host_matching)?,
            }
        };
        match found {
            Found::Rule { rule, view_args } => {
                let plan = table.plan(py, rule)?;
                state.try_borrow_mut()?.set_match(
                    plan.rule.clone_ref(py),
                    view_args.map(|args| args.unbind().into_any()),
                );
                if plan.automatic_options
                    && state.try_borrow()?.request().head.method == Method::Options
                {
                    return Ok(Arc::clone(&table.unmatched));
                }
                Ok(plan)
            }
            // No rule, or one that Python has to look at (custom converters): the dialect's own matching decides.
            Found::Python => match table.proxies {
                Some(counts) => self.plan_behind_proxies(py, state, &counts),
                None => self.plan_unmatched(py, state),
            },
        }
    }

    /// A handshake's plan, or that of a request without a rule.
    fn plan_unmatched(
        &mut self,
        py: Python<'_>,
        state: &Bound<'_, RequestState>,
    ) -> PyResult<Arc<Plan>> {
        let Some(table) = &self.table else {
            return Err(internal("the application has no table"));
        };
        let unmatched = Arc::clone(&table.unmatched);
        Ok(self.socket_plan(py, state)?.unwrap_or(unmatched))
    }

    /// What `plan` says for an application that believes proxies of its own accord. A request of which they say what only
    /// Python can tell keeps its origin, and goes through the application's wrapper.
    fn plan_behind_proxies(
        &mut self,
        py: Python<'_>,
        state: &Bound<'_, RequestState>,
        counts: &Counts,
    ) -> PyResult<Arc<Plan>> {
        let Some(table) = self.table.as_mut() else {
            return Err(internal("the application has no table"));
        };
        if !state.try_borrow_mut()?.believe(counts) {
            return Ok(Arc::clone(&table.unmatched));
        }
        let found = {
            let this = state.try_borrow()?;
            match this.request().host() {
                Some(host) if host.len() > HOST => Found::Python,
                _ => table.router.get().find(py, this.request(), false)?,
            }
        };
        let Found::Rule { rule, view_args } = found else {
            return self.plan_unmatched(py, state);
        };
        let plan = table.plan(py, rule)?;
        let mut this = state.try_borrow_mut()?;
        this.set_match(
            plan.rule.clone_ref(py),
            view_args.map(|args| args.unbind().into_any()),
        );
        if plan.automatic_options && this.request().head.method == Method::Options {
            return Ok(Arc::clone(&table.unmatched));
        }
        Ok(plan)
    }

    /// The plan of a handshake, whose rule the dialect finds; `None`: it is for no WebSocket of the application.
    fn socket_plan(
        &mut self,
        py: Python<'_>,
        state: &Bound<'_, RequestState>,
    ) -> PyResult<Option<Arc<Plan>>> {
        let Some(table) = self.table.as_mut().filter(|table| table.sockets) else {
            return Ok(None);
        };
        if !is_upgrade(state.try_borrow()?.request()) {
            return Ok(None);
        }
        let app = Arc::clone(&table.app);
        let rule = app.call(intern!(py, "match_socket"), (&app.object, state))?;
        if rule.is_none() {
            return Ok(None);
        }
        match table.position(py, &rule) {
            Some(at) => table.plan(py, at).map(Some),
            None => Ok(None),
        }
    }
}

fn is_upgrade(request: &Request) -> bool {
    request
        .field(b"upgrade")
        .is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
}
