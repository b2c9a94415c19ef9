//! The worker's side of the page: messages in, messages out. The only folder that speaks to JavaScript.
//!
//! Requests are done one after another in the order in which they came; `cancel` and `control` alone overtake them. Between
//! the stages of a detection and the steps of a training run the engine yields to the event loop, so that they arrive.

mod file_store;

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use crate::{
    engine::{Engine, Host, Observer},
    error::Error,
    observe::Progress,
    protocol::{Command, Event, Outcome, Request},
    train::{TrainControl, TrainEvent, TrainObserver, events::PAUSE_POLL},
};
use file_store::FileStore;

/// Answers the page's messages for the rest of the worker's life, and tells it that it may send some.
pub fn start() {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    report_panics(scope.clone());
    crate::device::install_log_bridge();

    let worker = Rc::new(WorkerState { scope: scope.clone(), state: RefCell::default(), engine: RefCell::default() });
    let listener = worker.clone();
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| listener.receive(event.data()));
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // The worker listens until the page ends it.
    on_message.forget();
    worker.send(&Event::Ready { version: env!("CARGO_PKG_VERSION").to_owned() });
}

/// A panic leaves the wasm memory in an unknown state: the page is told, and must never use this worker again.
fn report_panics(scope: DedicatedWorkerGlobalScope) {
    std::panic::set_hook(Box::new(move |info| {
        console_error_panic_hook::hook(info);
        let message = js_sys::Object::new();
        let sentence = format!("the engine stopped: {info}");
        let told = Reflect::set(&message, &"type".into(), &"panicked".into())
            .and_then(|_| Reflect::set(&message, &"sentence".into(), &sentence.into()))
            .and_then(|_| scope.post_message(&message));
        // If even this fails, the worker's own error event remains.
        drop(told);
    }));
}

#[derive(Default)]
struct State {
    queue: VecDeque<Request>,
    /// The id of the request being done.
    current: Option<u32>,
    /// Whether the current request is to end.
    cancelled: bool,
    /// What the page wants of the training run.
    control: TrainControl,
}

/// The engine and the requests that wait for it.
struct WorkerState {
    scope: DedicatedWorkerGlobalScope,
    state: RefCell<State>,
    /// Taken out while a request runs, since that takes several turns of the event loop.
    engine: RefCell<Option<Engine>>,
}

impl WorkerState {
    fn receive(self: &Rc<Self>, message: JsValue) {
        let id = Reflect::get(&message, &"id".into()).ok().and_then(|id| id.as_f64()).unwrap_or(0.0) as u32;
        let request: Request = match serde_wasm_bindgen::from_value(message) {
            Ok(request) => request,
            Err(e) => {
                return self.send(&Event::failed(id, &Error::Usage(format!("not a valid request: {e}"))));
            }
        };
        match request.command {
            Command::Cancel { request: target } => self.cancel(target),
            Command::ControlTraining { request: target, control } => self.control(target, control),
            _ => return self.queue(request),
        }
        self.send(&Event::Done { id, outcome: Outcome::Nothing });
    }

    fn queue(self: &Rc<Self>, request: Request) {
        let mut state = self.state.borrow_mut();
        state.queue.push_back(request);
        if state.current.is_none() {
            drop(state);
            self.next();
        }
    }

    fn cancel(&self, target: u32) {
        let mut state = self.state.borrow_mut();
        if state.current == Some(target) {
            state.cancelled = true;
        } else if let Some(i) = state.queue.iter().position(|r| r.id == target) {
            state.queue.remove(i);
            drop(state);
            self.send(&Event::Cancelled { id: target });
        }
    }

    fn control(&self, target: u32, control: TrainControl) {
        let mut state = self.state.borrow_mut();
        if state.current == Some(target) {
            state.control = control;
        }
    }

    /// Begins the first request of the queue, if there is one.
    fn next(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let Some(request) = state.queue.pop_front() else {
            state.current = None;
            return;
        };
        (state.current, state.cancelled, state.control) = (Some(request.id), false, TrainControl::Continue);
        drop(state);

        let worker = self.clone();
        spawn_local(async move {
            let mut engine = worker.engine.borrow_mut().take().unwrap_or_default();
            let observer = RequestObserver { worker: &worker, id: request.id };
            let event = match engine.run(request.command, &observer).await {
                Ok(outcome) => Event::Done { id: request.id, outcome },
                Err(e) => Event::failed(request.id, &e),
            };
            worker.engine.borrow_mut().replace(engine);
            worker.send(&event);
            worker.next();
        });
    }

    fn send(&self, event: &Event) {
        let serializer =
            serde_wasm_bindgen::Serializer::new().serialize_maps_as_objects(true).serialize_missing_as_null(true);
        let sent = match event.serialize(&serializer) {
            Ok(message) => {
                let buffers = Array::new();
                if let Event::Done {
                    outcome:
                        Outcome::Image(_)
                        | Outcome::Files { .. }
                        | Outcome::Trained(_)
                        | Outcome::MeasuredCells { .. }
                        | Outcome::Crops { .. },
                    ..
                } = event
                {
                    collect_buffers(&message, &buffers);
                }
                self.scope.post_message_with_transfer(&message, &buffers)
            }
            Err(e) => Err(e.into()),
        };
        if let Err(e) = sent {
            web_sys::console::error_2(&"a message could not be sent".into(), &e);
        }
    }
}

/// The buffers of all byte arrays within `value`, so that they move to the page instead of being copied.
fn collect_buffers(value: &JsValue, into: &Array) {
    if let Some(bytes) = value.dyn_ref::<Uint8Array>() {
        into.push(&bytes.buffer());
    } else if value.is_object() {
        for inner in js_sys::Object::values(value.unchecked_ref()).iter() {
            collect_buffers(&inner, into);
        }
    }
}

/// Sends the progress of one request to the page, and knows whether it was cancelled or paused.
struct RequestObserver<'a> {
    worker: &'a WorkerState,
    id: u32,
}

impl RequestObserver<'_> {
    async fn timeout(&self, milliseconds: i32) {
        let turn = Promise::new(&mut |resolve: Function, _| {
            let set = self.worker.scope.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds);
            // Without a timer there is no turn to give, and the work continues at once.
            if set.is_err() {
                drop(resolve.call0(&JsValue::NULL));
            }
        });
        drop(JsFuture::from(turn).await);
    }
}

impl Observer for RequestObserver<'_> {
    fn progress(&self, progress: Progress) {
        self.worker.send(&Event::Progress { id: self.id, progress });
    }

    fn is_cancelled(&self) -> bool {
        self.worker.state.borrow().cancelled
    }

    async fn yield_now(&self) {
        self.timeout(0).await;
    }
}

impl TrainObserver for RequestObserver<'_> {
    fn event(&self, event: TrainEvent) {
        self.worker.send(&Event::Training { id: self.id, event });
    }

    fn control(&self) -> TrainControl {
        self.worker.state.borrow().control
    }

    async fn wait_while_paused(&self) {
        self.timeout(PAUSE_POLL.as_millis() as i32).await;
    }
}

impl Host for RequestObserver<'_> {
    type Store = FileStore;

    fn store(&self, name: &str) -> FileStore {
        FileStore::new(name)
    }
}
