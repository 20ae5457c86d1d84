//! Requests whose view reads the body while it arrives.

use super::{Message, PyService, Steps};
use crate::conn::{Batch, Key, Request};
use crate::py::face::state::RequestState;
use crate::py::ffi::{self, Context};
use crate::py::run::body::{BodyStream, Reading};
use crate::py::run::invoke::{self, Failed};
use crate::py::run::plan::{Mode, Plan};
use crate::py::run::pool::{Job, Place};
use crate::py::run::watchdog::Stage;
use pyo3::prelude::*;
use std::sync::Arc;

/// What becomes of a body that is offered.
enum Choice {
    Stream(Option<Place>),
    /// It is received in full; or it is offered again past so many bytes.
    Buffer(usize),
}

impl PyService {
    /// Decides about a request whose body is still to come, and has its view run if that reads it.
    pub(super) fn take_offer(
        &mut self,
        py: Python<'_>,
        batch: &mut Batch<'_, Message>,
        key: Key,
    ) -> PyResult<()> {
        let Some((conn, shared)) = batch.conn(key) else {
            return Ok(());
        };
        let bound = shared.config.max_body_in_memory;
        let Some((request, is_large)) = conn.take_offer(shared) else {
            return Ok(());
        };
        let peer = Arc::clone(conn.peer());
        let app = self.planner.refresh(py)?;
        let state = RequestState::new(request, peer, Arc::clone(&self.pinned), Arc::clone(&app));
        let (context, state) = (Context::copy_current(py)?, Bound::new(py, state)?);
        let plan = {
            let _entered = context.enter(py)?;
            ffi::set_context_var(self.current.bind(py), state.as_any())?;
            match self.planner.plan(py, &state) {
                Ok(plan) => plan,
                Err(error) => {
                    self.hide_loop(py)?;
                    let failed = Failed::InView(error);
                    let unhandled = invoke::answer(py, &app, &state, failed, &mut self.reply);
                    invoke::end(py, &app, &state, unhandled, &mut self.reply);
                    batch.count_request();
                    self.answer(py, batch, key, None);
                    return Ok(());
                }
            }
        };
        let place = match self.choose(&plan, is_large, bound) {
            Choice::Stream(place) => place,
            Choice::Buffer(bound) => {
                let request = RequestState::give_up(&state)?;
                self.decline(batch, key, request, bound);
                return Ok(());
            }
        };
        batch.count_request();
        let Some((conn, shared)) = batch.conn(key) else {
            return Ok(());
        };
        let Some(feed) = conn.begin_body(shared) else {
            self.refuse(py, batch, key);
            return Ok(());
        };
        let (mailbox, host) = (Arc::clone(&self.mailbox), self.host.clone());
        let reading = Reading::new(key, feed, mailbox, host, &shared.body_memory);
        self.bodies.retain(|_, body| body.strong_count() > 0);
        self.bodies.insert(key, Arc::downgrade(&reading));
        state
            .try_borrow_mut()?
            .set_stream(Py::new(py, BodyStream { reading })?);
        let job = self.job(key, app, plan, state, context);
        self.hand_over(py, batch, Job { place, ..job })
    }

    /// A view on the reactor's own thread would wait for what only the reactor brings. Plain code in a task would as
    /// well: a task's body is streamed where that was asked for, or its code reads it so.
    fn choose(&self, plan: &Plan, is_large: bool, bound: usize) -> Choice {
        let can = match plan.mode {
            Mode::Task => self.host.is_some() && plan.streams_body.unwrap_or(plan.reads_stream),
            Mode::Inline => self.pool.is_some() && plan.streams_body == Some(true),
            Mode::Pool | Mode::Auto => self.pool.is_some() && plan.streams_body != Some(false),
        };
        if !can || matches!(plan.steps, Steps::Socket) {
            return Choice::Buffer(usize::MAX);
        }
        if plan.streams_body == Some(true) {
            return Choice::Stream(None);
        }
        if !is_large {
            return Choice::Buffer(bound);
        }
        if plan.mode == Mode::Task {
            return Choice::Stream(None);
        }
        match self.pool.as_ref().and_then(|pool| pool.place()) {
            Some(place) => Choice::Stream(Some(place)),
            None => Choice::Buffer(usize::MAX),
        }
    }

    fn decline(
        &mut self,
        batch: &mut Batch<'_, Message>,
        key: Key,
        request: Request,
        bound: usize,
    ) {
        if let Some((conn, _)) = batch.conn(key) {
            conn.decline(request, bound);
        }
        batch.advance(key);
    }

    /// Tasks that wait for a body go on.
    pub(super) fn tell_reader(&mut self, py: Python<'_>, key: Key) -> PyResult<()> {
        let Some(reading) = self.bodies.get(&key).and_then(std::sync::Weak::upgrade) else {
            return Ok(());
        };
        self.show_loop(py)?;
        self.pulse.enter(Stage::Task);
        reading.wake(py, true);
        self.pulse.enter(Stage::Views);
        Ok(())
    }

    /// Of connections that are gone, too.
    pub(in crate::py::run) fn tell_readers(&mut self, py: Python<'_>) {
        let keys: Vec<Key> = self.bodies.keys().copied().collect();
        for key in keys {
            if let Err(error) = self.tell_reader(py, key) {
                error.write_unraisable(py, None);
            }
        }
        self.bodies.retain(|_, body| body.strong_count() > 0);
    }
}
