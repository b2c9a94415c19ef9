//! The worker's side of the page: messages in, messages out. The only folder that speaks to JavaScript.
//!
//! Requests are done one after another in the order in which they came; `cancel` and `steer` alone overtake them. Between
//! the stages of a detection and the steps of a training the engine gives the event loop a turn, so that they are heard.

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
    train::{TrainEvent, TrainObserver, Wish, events::REST},
};
use file_store::FileStore;

/// Answers the page's messages for the rest of the worker's life, and tells it that it may send some.
pub fn start() {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    report_panics(scope.clone());
    crate::device::install_log_bridge();

    let desk = Rc::new(Desk { scope: scope.clone(), state: RefCell::default(), engine: RefCell::default() });
    let listener = desk.clone();
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| listener.receive(event.data()));
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // The worker listens until the page ends it.
    on_message.forget();
    desk.send(&Event::Ready { version: env!("CARGO_PKG_VERSION").to_owned() });
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
    /// What a training is to do next.
    wish: Wish,
}

/// Where requests lie until their turn.
struct Desk {
    scope: DedicatedWorkerGlobalScope,
    state: RefCell<State>,
    /// Taken out while a request runs, since that takes several turns of the event loop.
    engine: RefCell<Option<Engine>>,
}

impl Desk {
    fn receive(self: &Rc<Self>, message: JsValue) {
        let id = Reflect::get(&message, &"id".into()).ok().and_then(|id| id.as_f64()).unwrap_or(0.0) as u32;
        let request: Request = match serde_wasm_bindgen::from_value(message) {
            Ok(request) => request,
            Err(e) => {
                return self.send(&Event::failed(id, &Error::Usage(format!("a message that is no request: {e}"))));
            }
        };
        match request.command {
            Command::Cancel { request: target } => self.cancel(target),
            Command::Steer { request: target, wish } => self.steer(target, wish),
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

    fn steer(&self, target: u32, wish: Wish) {
        let mut state = self.state.borrow_mut();
        if state.current == Some(target) {
            state.wish = wish;
        }
    }

    /// Begins the first request of the queue, if there is one.
    fn next(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let Some(request) = state.queue.pop_front() else {
            state.current = None;
            return;
        };
        (state.current, state.cancelled, state.wish) = (Some(request.id), false, Wish::GoOn);
        drop(state);

        let desk = self.clone();
        spawn_local(async move {
            let mut engine = desk.engine.borrow_mut().take().unwrap_or_default();
            let observer = Watch { desk: &desk, id: request.id };
            let event = match engine.run(request.command, &observer).await {
                Ok(outcome) => Event::Done { id: request.id, outcome },
                Err(e) => Event::failed(request.id, &e),
            };
            desk.engine.borrow_mut().replace(engine);
            desk.send(&event);
            desk.next();
        });
    }

    fn send(&self, event: &Event) {
        let serializer =
            serde_wasm_bindgen::Serializer::new().serialize_maps_as_objects(true).serialize_missing_as_null(true);
        let sent = match event.serialize(&serializer) {
            Ok(message) => {
                let buffers = Array::new();
                if let Event::Done {
                    outcome: Outcome::Image(_) | Outcome::Files { .. } | Outcome::Trained(_), ..
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

/// What one request tells and hears while it runs.
struct Watch<'a> {
    desk: &'a Desk,
    id: u32,
}

impl Watch<'_> {
    async fn timeout(&self, milliseconds: i32) {
        let turn = Promise::new(&mut |resolve: Function, _| {
            let set = self.desk.scope.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds);
            // Without a timer there is no turn to give, and the work goes on at once.
            if set.is_err() {
                drop(resolve.call0(&JsValue::NULL));
            }
        });
        drop(JsFuture::from(turn).await);
    }
}

impl Observer for Watch<'_> {
    fn progress(&self, progress: Progress) {
        self.desk.send(&Event::Progress { id: self.id, progress });
    }

    fn is_cancelled(&self) -> bool {
        self.desk.state.borrow().cancelled
    }

    async fn turn(&self) {
        self.timeout(0).await;
    }
}

impl TrainObserver for Watch<'_> {
    fn event(&self, event: TrainEvent) {
        self.desk.send(&Event::Training { id: self.id, event });
    }

    fn wish(&self) -> Wish {
        self.desk.state.borrow().wish
    }

    async fn rest(&self) {
        self.timeout(REST.as_millis() as i32).await;
    }
}

impl Host for Watch<'_> {
    type Store = FileStore;

    fn store(&self, name: &str) -> FileStore {
        FileStore::new(name)
    }
}
