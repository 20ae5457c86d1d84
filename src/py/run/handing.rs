//! Requests on their way out of the turn: to a thread of the pool, or to the event loop.

use super::invoke;
use super::plan::{Mode, Plan};
use super::pool::{Job, Ticket, Work};
use super::service::{Message, PyService};
use super::task::{self, Started};
use super::watchdog::Stage;
use crate::conn::{Batch, Key};
use crate::py::face::application::App;
use crate::py::face::state::RequestState;
use pyo3::prelude::*;
use std::sync::Arc;

impl PyService {
    /// Hands a request to where its view runs: the event loop or a thread of the pool.
    pub(super) fn hand_over(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        job: Job,
    ) -> PyResult<()> {
        if job.plan.mode == Mode::Task {
            self.hand_to_loop(py, batch, job)
        } else {
            self.hand_to_pool(py, batch, job)
        }
    }

    fn hand_to_pool(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        job: Job,
    ) -> PyResult<()> {
        let (key, ticket) = (job.key, job.ticket);
        if self.pool.is_none() {
            // No pool in this server: the view runs here.
            self.reply.clear();
            self.hide_loop(py)?;
            self.pulse.step();
            let context = job.context.clone_ref(py);
            job.run_inline(py, &mut self.reply, 2);
            self.answer(py, batch, key, Some(context));
            return Ok(());
        }
        let state = job.state.clone_ref(py);
        let deadline = if job.socket.is_some() {
            self.hold_socket(key, state);
            None
        } else {
            self.open
                .admit(key, ticket, &job.app, &job.plan, state, None)
        };
        if let Some(pool) = &self.pool
            && let Err(work) = pool.submit(py, Work::View(job), Arc::clone(&self.mailbox))
        {
            drop(work);
            self.open.forget(key);
            self.give_up_socket(py, batch, key);
            self.refuse(py, batch, key);
        } else if let Some(deadline) = deadline {
            self.pulse.expect(deadline);
        }
        Ok(())
    }

    fn hand_to_loop(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        job: Job,
    ) -> PyResult<()> {
        let Job {
            key,
            ticket,
            app,
            plan,
            state,
            context,
            socket,
            place: _,
        } = job;
        let state = state.into_bound(py);
        let Some(host) = &self.host else {
            // The application had nothing asynchronous when it was started: the pipeline runs the coroutine.
            self.reply.clear();
            {
                let _entered = context.enter(py)?;
                invoke::run_full(py, &app, &state, &mut self.reply);
            }
            match self.answer(py, batch, key, Some(context)) {
                Some(context) => RequestState::release(&state, 2, || !context.has_copies(py)),
                None => RequestState::outlive_turn(&state),
            }
            return Ok(());
        };
        let host = Arc::clone(host);
        let is_socket = socket.is_some();
        let kept = state.clone().unbind();
        let (its_app, its_plan) = (Arc::clone(&app), Arc::clone(&plan));
        let handle = (!host.is_here()).then(Arc::default);
        let start = task::Start {
            key,
            ticket,
            handle: handle.clone(),
            app,
            plan,
            state: state.unbind(),
            context,
            socket,
            mailbox: Arc::clone(&self.mailbox),
        };
        if let Some(handle) = handle {
            if is_socket {
                self.hold_socket(key, kept);
            } else {
                self.admit(key, ticket, &its_app, &its_plan, kept, handle);
            }
            return host.start_elsewhere(py, start);
        }
        self.show_loop(py)?;
        self.reply.clear();
        let schedule = Some(host.schedule(py));
        let context = start.context.clone_ref(py);
        self.pulse.enter(Stage::Task);
        let started = task::start(py, &host, start, &mut self.reply, schedule)?;
        self.pulse.enter(Stage::Views);
        match started {
            Started::Done => {
                if is_socket && !self.settle_socket(py, batch, key, ticket) {
                    host.forget_context(py);
                    return Ok(());
                }
                if self.is_generated() {
                    self.begin_stream_of_task(py, batch, key, context);
                    host.forget_context(py);
                    return Ok(());
                }
                match self.answer(py, batch, key, Some(context)) {
                    Some(context) => self.keep(py, context, kept.into_bound(py)),
                    None => host.forget_context(py),
                }
            }
            Started::Running(_) if is_socket => self.hold_socket(key, kept),
            Started::Running(handle) => {
                self.admit(key, ticket, &its_app, &its_plan, kept, handle);
            }
        }
        Ok(())
    }

    /// Notes a task that is under way.
    fn admit(
        &mut self,
        key: Key,
        ticket: Ticket,
        app: &Arc<App>,
        plan: &Arc<Plan>,
        state: Py<RequestState>,
        handle: Arc<task::Handle>,
    ) {
        let deadline = self.open.admit(key, ticket, app, plan, state, Some(handle));
        if let Some(deadline) = deadline {
            self.pulse.expect(deadline);
        }
    }
}
