//! Bodies that are sent as no regular sender would.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

/// What comes after the bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing, and no end.
    Hang,
    /// The stream is reset.
    Reset,
    /// Its end.
    End,
}

/// A body of zeros.
pub(crate) struct Upload {
    left: usize,
    piece: Bytes,
    then: Then,
    /// The number of bytes that were sent.
    sent: Arc<AtomicUsize>,
}

impl Upload {
    pub(crate) fn new(bytes: usize, piece: usize, then: Then, sent: &Arc<AtomicUsize>) -> Self {
        Self { left: bytes, piece: vec![0; piece].into(), then, sent: Arc::clone(sent) }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.left > 0 {
            let size = self.left.min(self.piece.len());
            self.left -= size;
            self.sent.fetch_add(size, Ordering::Relaxed);
            return Poll::Ready(Some(Ok(Frame::data(self.piece.slice(..size)))));
        }
        match self.then {
            // Nothing wakes it.
            Then::Hang => Poll::Pending,
            Then::Reset => Poll::Ready(Some(Err(std::io::Error::other("reset")))),
            Then::End => Poll::Ready(None),
        }
    }
}

/// A body that is sent piece by piece.
pub(crate) struct Pieces(pub(crate) mpsc::Receiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
