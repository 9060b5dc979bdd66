//! A stream's way through the filter chain. The guest is the only filter in it.
//!
//! The structure is that of Envoy's `FilterManager` (`source/common/http/filter_manager.cc`); each function names the
//! one that it follows. [`Worker::filter_headers`] and its siblings do what the wasm filter itself does (`Context` in
//! `source/extensions/common/wasm/context.cc`, `ContextBase` in proxy-wasm-cpp-host's `src/context.cc`).

use crate::{
    context::StreamState,
    headers::HeaderMap,
    local_reply::{LocalReply, Origin, is_grpc},
    side::{Direction, Iteration, Side},
    worker::{Called, Worker, size},
};

/// The place where a frame enters the chain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// At the start: the frame has just arrived.
    First,
    /// At the filter, which has not seen the frame, because iteration had stopped for all frames.
    Current,
    /// After the filter, which has seen the frame.
    Next,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum HeadersStatus {
    Continue,
    StopIteration,
    StopAllAndBuffer,
    StopAllAndWatermark,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DataStatus {
    Continue,
    StopAndBuffer,
    StopAndWatermark,
    StopNoBuffer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TrailersStatus {
    Continue,
    StopIteration,
}

impl Worker {
    /// Headers arrive (`decodeHeaders`, `encodeHeaders`).
    pub(crate) fn headers(&mut self, id: u32, direction: Direction, headers: HeaderMap, end: bool) {
        let headers = headers.into_kind(direction.headers_kind());
        let stream = self.stream(id);
        if direction == Direction::Request {
            // Decided once: changes of the headers by the filter do not change it.
            stream.is_grpc = is_grpc(&headers);
            stream.is_head = headers.get(":method") == Some(b"HEAD");
        }
        let side = stream.side_mut(direction);
        side.headers = Some(headers);
        side.ended = end;

        self.enter(id, direction, true);
        let mut status = self.filter_headers(id, direction, end);
        self.enter(id, direction, false);
        if self.aborted(id, direction) {
            status = HeadersStatus::StopIteration;
        }
        let side = self.side(id, direction);
        match status {
            HeadersStatus::Continue => side.headers_continued = true,
            HeadersStatus::StopIteration => side.iteration = Iteration::StopSingle,
            HeadersStatus::StopAllAndBuffer => side.iteration = Iteration::StopAllBuffer,
            HeadersStatus::StopAllAndWatermark => side.iteration = Iteration::StopAllWatermark,
        }
        if status == HeadersStatus::Continue {
            self.pass_headers(id, direction, end);
        }
    }

    /// A part of a body arrives (`decodeData`, `encodeData`).
    pub(crate) fn data(&mut self, id: u32, direction: Direction, data: Vec<u8>, end: bool) {
        self.side(id, direction).ended |= end;
        self.run_data(id, direction, data, end, Start::First);
    }

    /// Trailers arrive (`decodeTrailers`, `encodeTrailers`).
    pub(crate) fn trailers(&mut self, id: u32, direction: Direction, trailers: HeaderMap) {
        let side = self.side(id, direction);
        side.ended = true;
        side.trailers = Some(trailers.into_kind(direction.trailers_kind()));
        self.run_trailers(id, direction, Start::First);
    }

    fn run_data(
        &mut self,
        id: u32,
        direction: Direction,
        mut data: Vec<u8>,
        end: bool,
        start: Start,
    ) {
        if self.is_over(id, direction) {
            return;
        }
        let mut trailers_added = false;
        if start != Start::Next {
            let side = self.side(id, direction);
            if side.iteration.stops_all() {
                side.streaming = side.iteration == Iteration::StopAllWatermark;
                self.buffer(id, direction, data);
                return;
            }
            let had_trailers = side.trailers.is_some();
            side.data = Some(data);

            self.enter(id, direction, true);
            let mut status = self.filter_data(id, direction, end);
            self.enter(id, direction, false);
            if self.aborted(id, direction) {
                if direction == Direction::Request {
                    return;
                }
                status = DataStatus::StopNoBuffer;
            }
            let side = self.side(id, direction);
            trailers_added = !had_trailers && side.trailers.is_some();
            data = side.data.take().unwrap_or_default();
            match self.after_data(id, direction, status, data, start) {
                Some(goes_on) => data = goes_on,
                None => return,
            }
        }
        self.pass_data(id, direction, data, end && !trailers_added);
        if trailers_added {
            self.pass_trailers(id, direction);
        }
    }

    /// Returns the data if it is forwarded (`commonHandleAfterDataCallback`).
    fn after_data(
        &mut self,
        id: u32,
        direction: Direction,
        status: DataStatus,
        data: Vec<u8>,
        start: Start,
    ) -> Option<Vec<u8>> {
        let side = self.side(id, direction);
        if status == DataStatus::Continue {
            if side.iteration != Iteration::StopSingle {
                return Some(data);
            }
            self.buffer(id, direction, data);
            self.resume(id, direction);
            return None;
        }
        side.iteration = Iteration::StopSingle;
        match (status, start) {
            (DataStatus::StopNoBuffer, _) => {
                // So that there is an end that can be forwarded.
                if side.ended && side.trailers.is_none() {
                    side.buffered.get_or_insert_default();
                }
            }
            (_, Start::Current) => {
                // This data comes from the buffer, so it does not count towards the limit again.
                side.streaming = status == DataStatus::StopAndWatermark;
                side.buffered = Some(data);
            }
            _ => {
                side.streaming = status == DataStatus::StopAndWatermark;
                self.buffer(id, direction, data);
            }
        }
        None
    }

    fn run_trailers(&mut self, id: u32, direction: Direction, start: Start) {
        if self.is_over(id, direction) {
            return;
        }
        if start != Start::Next {
            if self.side(id, direction).iteration.stops_all() {
                return;
            }
            self.enter(id, direction, true);
            let mut status = self.filter_trailers(id, direction);
            self.enter(id, direction, false);
            if self.aborted(id, direction) {
                status = TrailersStatus::StopIteration;
            }
            let side = self.side(id, direction);
            // `commonHandleAfterTrailersCallback`
            match (status, side.iteration) {
                (TrailersStatus::Continue, Iteration::StopSingle) => {
                    self.resume(id, direction);
                    return;
                }
                (TrailersStatus::Continue, _) => {}
                (TrailersStatus::StopIteration, Iteration::Continue) => {
                    side.iteration = Iteration::StopSingle;
                    return;
                }
                (TrailersStatus::StopIteration, _) => return,
            }
        }
        self.pass_trailers(id, direction);
    }

    /// Forwards what was held (`commonContinue`).
    pub(crate) fn resume(&mut self, id: u32, direction: Direction) {
        let stream = self.stream(id);
        let answered = match direction {
            Direction::Request => stream.response.ended,
            Direction::Response => stream.response.out.complete,
        };
        if answered || stream.reset || stream.side(direction).headers.is_none() {
            return;
        }
        let side = stream.side_mut(direction);
        let start = if side.iteration.stops_all() { Start::Current } else { Start::Next };
        side.iteration = Iteration::Continue;
        let had_trailers = side.trailers.is_some();
        if !side.headers_continued {
            side.headers_continued = true;
            let end = side.ended && side.buffered.is_none() && !had_trailers;
            self.pass_headers(id, direction, end);
        }
        let side = self.side(id, direction);
        let end = side.ended && !had_trailers;
        if let Some(data) = side.buffered.take() {
            self.run_data(id, direction, data, end, start);
        }
        if had_trailers {
            self.run_trailers(id, direction, start);
        }
    }

    /// Appends data to the buffer (`commonHandleBufferData`).
    fn buffer(&mut self, id: u32, direction: Direction, mut data: Vec<u8>) {
        let side = self.side(id, direction);
        side.buffered.get_or_insert_default().append(&mut data);
        self.check_limit(id, direction);
    }

    /// A buffer above its limit fails the stream, unless the peer can be made to wait (`requestDataTooLarge`,
    /// `responseDataTooLarge`).
    fn check_limit(&mut self, id: u32, direction: Direction) {
        let stream = self.stream(id);
        let limit = stream.buffer_limit;
        let side = stream.side_mut(direction);
        let length = side.buffered.as_ref().map_or(0, Vec::len);
        if limit > 0 && length > limit && !side.streaming {
            self.reply(
                id,
                match direction {
                    Direction::Request => LocalReply::of_long_request(),
                    Direction::Response => LocalReply::of_long_response(),
                },
            );
        }
    }

    fn pass_headers(&mut self, id: u32, direction: Direction, end: bool) {
        let stream = self.stream(id);
        let side = stream.side_mut(direction);
        side.out.headers.clone_from(&side.headers);
        side.out.complete |= end;
        if direction == Direction::Response && stream.origin.is_none() {
            stream.origin = Some(Origin::Upstream);
        }
    }

    fn pass_data(&mut self, id: u32, direction: Direction, mut data: Vec<u8>, end: bool) {
        let out = &mut self.side(id, direction).out;
        out.body.append(&mut data);
        out.complete |= end;
    }

    fn pass_trailers(&mut self, id: u32, direction: Direction) {
        let side = self.side(id, direction);
        side.out.trailers.clone_from(&side.trailers);
        side.out.complete = true;
    }

    /// Sends a local reply in place of the upstream's answer (`DownstreamFilterManager::sendLocalReply`).
    pub(crate) fn reply(&mut self, id: u32, reply: LocalReply) {
        let stream = self.stream(id);
        if stream.reset || stream.response.out.complete {
            return;
        }
        if stream.decoding {
            stream.decoding_aborted = true;
        } else if stream.encoding {
            stream.encoding_aborted = true;
        }
        let upstream_goes_on = stream.request.out.headers.is_some() && !stream.response.ended;
        stream.upstream_reset |= upstream_goes_on;
        if stream.response.headers.is_none() {
            if stream.decoding {
                // The reply is sent when the callback returns. The first reply counts, whether it is the filter's or
                // Envoy's.
                stream.prepared.get_or_insert(reply);
            } else {
                self.reply_through_the_filter(id, &reply);
            }
        } else if stream.response.out.headers.is_none() {
            reply_directly(stream, &reply);
        } else {
            // The client already has the headers, so it is too late for another reply.
            stream.reset = true;
            stream.details = reply.details;
        }
    }

    /// Passes a local reply through the filter's response callbacks (`sendLocalReplyViaFilterChain`).
    fn reply_through_the_filter(&mut self, id: u32, reply: &LocalReply) {
        let stream = self.stream(id);
        stream.origin = Some(reply.origin);
        stream.details.clone_from(&reply.details);
        let (headers, body) = reply.prepare(stream.is_grpc, stream.is_head);
        self.headers(id, Direction::Response, headers, body.is_empty());
        if !body.is_empty() {
            self.data(id, Direction::Response, body, true);
        }
    }

    /// Resets the stream: the client sees it end early.
    pub(crate) fn reset(&mut self, id: u32) {
        let stream = self.stream(id);
        if !stream.response.out.complete {
            stream.reset = true;
            stream.upstream_reset |= stream.request.out.headers.is_some() && !stream.response.ended;
        }
    }

    /// `Context::decodeHeaders`, `Context::encodeHeaders`
    fn filter_headers(&mut self, id: u32, direction: Direction, end: bool) -> HeadersStatus {
        if direction == Direction::Request {
            self.create(id);
        } else if self.passes_by(id) {
            return HeadersStatus::Continue;
        }
        let stream = self.stream(id);
        stream.end_of_stream = end;
        let allow_stop_iteration = stream.allow_on_headers_stop_iteration;
        let side = stream.side_mut(direction);
        side.headers_shown = true;
        let count = size(side.headers.as_ref().map_or(0, HeaderMap::len));
        let callback = match direction {
            Direction::Request => "proxy_on_request_headers",
            Direction::Response => "proxy_on_response_headers",
        };
        let called = self.call(id, callback, &[id, count, end.into()]);
        let status = match (called, self.host().stop_next_iteration) {
            (Called::Failed, _) => {
                self.fail_stream(id);
                HeadersStatus::StopAllAndWatermark
            }
            (Called::Absent, _) => HeadersStatus::Continue,
            (_, true) => HeadersStatus::StopAllAndWatermark,
            (Called::Returned(1), _) if allow_stop_iteration => HeadersStatus::StopIteration,
            // In older versions, 2 was "continue and end the stream".
            (Called::Returned(0 | 2), _) => HeadersStatus::Continue,
            (Called::Returned(3), _) => HeadersStatus::StopAllAndBuffer,
            (Called::Returned(_), _) => HeadersStatus::StopAllAndWatermark,
        };
        self.settle();
        if status == HeadersStatus::Continue {
            self.side(id, direction).headers_shown = false;
        }
        status
    }

    /// `Context::decodeData`, `Context::encodeData`
    fn filter_data(&mut self, id: u32, direction: Direction, end: bool) -> DataStatus {
        if self.passes_by(id) {
            return DataStatus::Continue;
        }
        let side = self.side(id, direction);
        if side.buffering {
            let data = side.data.replace(Vec::new()).unwrap_or_default();
            self.buffer(id, direction, data);
            if self.stream(id).response.out.complete {
                return DataStatus::StopAndBuffer;
            }
        }
        let stream = self.stream(id);
        stream.end_of_stream = end;
        let side = stream.side_mut(direction);
        side.data_shown = true;
        let length = size(side.visible_body().map_or(0, <[u8]>::len));
        let callback = match direction {
            Direction::Request => "proxy_on_request_body",
            Direction::Response => "proxy_on_response_body",
        };
        let called = self.call(id, callback, &[id, length, end.into()]);
        // The guest may have made the buffer longer.
        self.check_limit(id, direction);
        let status = match (called, self.host().stop_next_iteration) {
            (Called::Failed, _) => {
                self.fail_stream(id);
                DataStatus::StopNoBuffer
            }
            (Called::Absent, _) => DataStatus::Continue,
            (_, true) => DataStatus::StopNoBuffer,
            (Called::Returned(0), _) => DataStatus::Continue,
            (Called::Returned(1), _) => DataStatus::StopAndBuffer,
            (Called::Returned(2), _) => DataStatus::StopAndWatermark,
            (Called::Returned(_), _) => DataStatus::StopNoBuffer,
        };
        self.settle();
        let side = self.side(id, direction);
        side.buffering = status == DataStatus::StopAndBuffer;
        side.data_shown &= status == DataStatus::StopAndBuffer;
        status
    }

    /// `Context::decodeTrailers`, `Context::encodeTrailers`
    fn filter_trailers(&mut self, id: u32, direction: Direction) -> TrailersStatus {
        if self.passes_by(id) {
            return TrailersStatus::Continue;
        }
        let side = self.side(id, direction);
        side.trailers_shown = true;
        let count = size(side.trailers.as_ref().map_or(0, HeaderMap::len));
        let callback = match direction {
            Direction::Request => "proxy_on_request_trailers",
            Direction::Response => "proxy_on_response_trailers",
        };
        let called = self.call(id, callback, &[id, count]);
        self.check_limit(id, direction);
        let status = match (called, self.host().stop_next_iteration) {
            (Called::Failed, _) => {
                self.fail_stream(id);
                TrailersStatus::StopIteration
            }
            (Called::Absent, _) => TrailersStatus::Continue,
            (Called::Returned(0), false) => TrailersStatus::Continue,
            (Called::Returned(_), _) => TrailersStatus::StopIteration,
        };
        self.settle();
        if status == TrailersStatus::Continue {
            self.side(id, direction).trailers_shown = false;
        }
        status
    }

    /// `ContextBase::onCreate`
    fn create(&mut self, id: u32) {
        let root = self.host().contexts.get(&id).map_or(0, |context| context.root);
        let stream = self.stream(id);
        if !std::mem::replace(&mut stream.created, true) {
            self.notify(id, "proxy_on_context_create", &[id, root]);
        }
    }

    /// Ends a stream: calls the access log, then destroys it (`Context::log`, `Context::onDestroy`).
    pub(crate) fn finish(&mut self, id: u32) -> Option<Box<StreamState>> {
        self.create(id);
        self.stream(id).log_phase = true;
        self.notify(id, "proxy_on_log", &[id]);
        self.stream(id).log_phase = false;
        self.notify(id, "proxy_on_done", &[id]);
        self.notify(id, "proxy_on_delete", &[id]);
        let context = self.host_mut().contexts.remove(&id)?;
        if self.host().root(context.root).is_some_and(|root| root.retired) {
            self.retire(context.root);
        }
        context.into_stream()
    }

    /// The guest has failed, so its streams are closed (`CHECK_FAIL`, `Context::failStream` under FAIL_CLOSED).
    fn fail_stream(&mut self, id: u32) {
        let stream = self.stream(id);
        if !std::mem::replace(&mut stream.failure_reply_sent, true) {
            self.reply(id, LocalReply::of_failure());
        }
    }

    /// Returns whether the guest is not called, because it does not know the stream or has failed on it.
    fn passes_by(&mut self, id: u32) -> bool {
        let stream = self.stream(id);
        !stream.created || stream.failure_reply_sent
    }

    #[expect(
        clippy::expect_used,
        reason = "a stream ends in `finish` alone, not while it is driven"
    )]
    pub(crate) fn stream(&mut self, id: u32) -> &mut StreamState {
        self.host_mut().stream_mut(id).expect("a stream that is driven")
    }

    fn side(&mut self, id: u32, direction: Direction) -> &mut Side {
        self.stream(id).side_mut(direction)
    }

    /// Returns whether nobody needs more of this direction.
    fn is_over(&mut self, id: u32, direction: Direction) -> bool {
        let stream = self.stream(id);
        match direction {
            Direction::Request => stream.reset || stream.response.ended,
            Direction::Response => stream.reset || stream.response.out.complete,
        }
    }

    fn enter(&mut self, id: u32, direction: Direction, inside: bool) {
        let stream = self.stream(id);
        match direction {
            Direction::Request => stream.decoding = inside,
            Direction::Response => stream.encoding = inside,
        }
    }

    /// Returns whether a local reply has ended this direction; sends one that was waiting
    /// (`executeLocalReplyIfPrepared`).
    fn aborted(&mut self, id: u32, direction: Direction) -> bool {
        let stream = self.stream(id);
        let aborted = match direction {
            Direction::Request => stream.decoding_aborted,
            Direction::Response => stream.encoding_aborted,
        };
        if let Some(reply) = stream.prepared.take_if(|_| direction == Direction::Request) {
            self.reply_through_the_filter(id, &reply);
        }
        aborted
    }
}

/// The filter has already begun another reply, so it does not see this one (`sendDirectLocalReply`).
fn reply_directly(stream: &mut StreamState, reply: &LocalReply) {
    let (headers, body) = reply.prepare(stream.is_grpc, stream.is_head);
    stream.origin = Some(reply.origin);
    stream.details.clone_from(&reply.details);
    let Side { out, ended, .. } = &mut stream.response;
    *ended = true;
    out.headers = Some(headers);
    out.body = body;
    out.complete = true;
}
