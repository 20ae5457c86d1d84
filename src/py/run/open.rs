//! Requests whose views run outside of the turn, in the pool or as tasks: what happens when their time is up, or when
//! their client has gone.

use super::host::LoopHost;
use super::invoke::{self, Failed};
use super::plan::Plan;
use super::pool::Ticket;
use super::reply::{Reply, Rest};
use super::service::{Message, PyService};
use super::stream;
use super::task::Handle;
use crate::conn::{Batch, Key, KeyMap};
use crate::http::Method;
use crate::py::face::application::App;
use crate::py::face::state::RequestState;
use crate::py::ffi::{self, Context};
use pyo3::intern;
use pyo3::prelude::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a task that was cancelled because its time was up has to end; then it is answered without it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A request under way.
pub struct Open {
    ticket: Ticket,
    app: Arc<App>,
    plan: Arc<Plan>,
    state: Py<RequestState>,
    /// None: a thread of the pool has it, which cannot be stopped.
    task: Option<Arc<Handle>>,
    deadline: Option<Instant>,
}

/// All of one reactor.
#[derive(Default)]
pub struct OpenRequests {
    by_key: KeyMap<Open>,
    tickets: Ticket,
}

impl OpenRequests {
    /// Takes a request in. Returns when its time is up.
    pub fn admit(
        &mut self,
        key: Key,
        ticket: Ticket,
        app: &Arc<App>,
        plan: &Arc<Plan>,
        state: Py<RequestState>,
        task: Option<Arc<Handle>>,
    ) -> Option<Instant> {
        let deadline = plan
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        let open = Open {
            ticket,
            app: Arc::clone(app),
            plan: Arc::clone(plan),
            state,
            task,
            deadline,
        };
        self.by_key.insert(key, open);
        deadline
    }

    pub fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.tickets
    }

    /// Its answer is here. `false`: nobody waits for it any more.
    pub fn finish(&mut self, key: Key, ticket: Ticket) -> bool {
        match self.by_key.get(&key) {
            Some(open) if open.ticket == ticket => self.by_key.remove(&key).is_some(),
            _ => false,
        }
    }

    pub fn forget(&mut self, key: Key) {
        self.by_key.remove(&key);
    }

    fn due(&self, now: Instant) -> Vec<Key> {
        let due = |open: &Open| open.deadline.is_some_and(|deadline| deadline <= now);
        self.by_key
            .iter()
            .filter(|(_, open)| due(open))
            .map(|(key, _)| *key)
            .collect()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.by_key.values().filter_map(|open| open.deadline).min()
    }

    fn gone(&mut self, batch: &Batch<'_, Message>) -> Vec<Open> {
        let keys: Vec<Key> = self
            .by_key
            .keys()
            .copied()
            .filter(|key| !batch.is_open(*key))
            .collect();
        keys.iter()
            .filter_map(|key| self.by_key.remove(key))
            .collect()
    }
}

impl Open {
    /// Whether the view ends with its client: it only reads, or it was asked to.
    fn ends_with_client(&self, py: Python<'_>) -> bool {
        self.plan.cancels.unwrap_or_else(|| {
            self.state.bind(py).try_borrow().is_ok_and(|state| {
                matches!(state.request().head.method, Method::Get | Method::Head)
            })
        })
    }
}

impl PyService {
    /// Tells the views of clients that have gone.
    pub(super) fn leave_gone(
        &mut self,
        py: Python<'_>,
        batch: &Batch<'_, Message>,
        host: Option<&LoopHost>,
    ) {
        for open in self.open.gone(batch) {
            if let Ok(state) = open.state.bind(py).try_borrow() {
                state.fate().disconnected.store(true, Ordering::Relaxed);
            }
            if let (Some(task), Some(host)) = (&open.task, host)
                && open.ends_with_client(py)
            {
                task.cancel(py, host);
            }
        }
    }

    /// Ends the requests whose time is up.
    pub(super) fn expire(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        host: Option<&LoopHost>,
    ) {
        let now = Instant::now();
        for key in self.open.due(now) {
            let Some(mut open) = self.open.by_key.remove(&key) else {
                continue;
            };
            if let Ok(state) = open.state.bind(py).try_borrow() {
                state.fate().expired.store(true, Ordering::Relaxed);
            }
            if let (Some(task), Some(host)) = (open.task.take(), host) {
                // Its own end is the answer, with its handlers and hooks.
                task.cancel(py, host);
                open.deadline = Some(now + PATIENCE);
                self.open.by_key.insert(key, open);
                continue;
            }
            if let Err(error) = self.answer_for(py, &open) {
                error.write_unraisable(py, None);
                invoke::internal_error(&mut self.reply);
            }
            self.answer(py, batch, key, None);
        }
        if let Some(next) = self.open.next_deadline() {
            self.pulse.expect(next);
        }
    }

    /// Makes the answer of a request whose view does not: it still runs, and will leave the contexts itself.
    fn answer_for(&mut self, py: Python<'_>, open: &Open) -> PyResult<()> {
        self.hide_loop(py)?;
        self.reply.clear();
        let context = Context::copy_current(py)?;
        let _entered = context.enter(py)?;
        let state = open.state.bind(py);
        ffi::set_context_var(self.current.bind(py), state.as_any())?;
        let error = timed_out(py, &open.app, state)?;
        invoke::answer(py, &open.app, state, Failed::InView(error), &mut self.reply);
        Ok(())
    }
}

/// What a view whose time is up is said to have raised.
pub fn timed_out(py: Python<'_>, app: &App, state: &Bound<'_, RequestState>) -> PyResult<PyErr> {
    let error = app.call(intern!(py, "timed_out"), (&app.object, state))?;
    Ok(PyErr::from_value(error))
}

/// An answer that nobody takes: its body is closed all the same.
pub fn discard(py: Python<'_>, reply: &mut Reply) {
    if let Rest::Stream(iterator, _) = std::mem::replace(&mut reply.rest, Rest::Nothing) {
        stream::close(iterator.bind(py), None);
    }
    reply.clear();
}
