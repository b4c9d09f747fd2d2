//! Bytes on the socket, for what no HTTP client would send.

use holdfast_tests::server::Server;
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer or an end may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn connect(server: &Server) -> TcpStream {
    let socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}
