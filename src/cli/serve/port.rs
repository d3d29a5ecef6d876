//! The address that a server listens on, and who has it when it is taken.

use super::super::error::{CliError, code};
use std::fs;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use tokio::net::TcpSocket;

/// Takes `address` without listening yet; gives the socket and its address with the port that it really has.
pub(super) fn take(address: SocketAddr) -> Result<(TcpSocket, SocketAddr), CliError> {
    let take = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A port of connections that have just ended is free.
        socket.set_reuseaddr(true)?;
        // Accepted sockets inherit it: a client that vanished without a word is found out, if only after hours.
        socket.set_keepalive(true)?;
        socket.bind(address)?;
        let taken = socket.local_addr()?;
        Ok((socket, taken))
    };
    take().map_err(|error: io::Error| refused(address, &error))
}

/// The error for an address that cannot be listened on.
pub(super) fn refused(address: SocketAddr, error: &io::Error) -> CliError {
    let cannot = |why: &str| CliError::new(code::ENGINE, format!("cannot listen on {address}: {why}"));
    match error.kind() {
        ErrorKind::AddrInUse => {
            let by = holder(address.port()).unwrap_or_else(|| "another process".to_owned());
            let any = SocketAddr::new(address.ip(), 0);
            cannot(&format!("in use by {by}"))
                .help(format!("coracle serve --listen {any}   picks a free one and writes it to the kubeconfig"))
        }
        ErrorKind::AddrNotAvailable => cannot("no interface of this machine has this address")
            .help(format!("coracle serve --listen 127.0.0.1:{}", address.port())),
        ErrorKind::PermissionDenied => cannot("ports below 1024 are for root")
            .help(format!("coracle serve --listen {}", SocketAddr::new(address.ip(), 6443))),
        _ => cannot(&error.to_string()),
    }
}

/// The process that listens on `port`, as `pid 4121 (k3s server)`; `None` when it is not ours to see.
fn holder(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let sockets: Vec<String> = tables
        .iter()
        .filter_map(|table| listening_inode(table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let is_pid = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let mut processes = processes.filter(|entry| is_pid(&entry.file_name())).map(|entry| entry.path());
    let process = processes.find(|process| {
        let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
        targets.any(|target| sockets.iter().any(|socket| target == Path::new(socket)))
    })?;
    let pid = process.file_name()?.to_string_lossy().into_owned();
    let command = fs::read(process.join("cmdline")).unwrap_or_default();
    Some(format!("pid {pid} ({})", command_text(&command)))
}

/// The inode of the socket that listens on `port` in a table of `/proc/net` (state 0A is LISTEN).
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let has_port =
            fields.get(1)?.rsplit_once(':').and_then(|(_, hex)| u16::from_str_radix(hex, 16).ok()) == Some(port);
        (has_port && fields.get(3) == Some(&"0A")).then(|| fields.get(9)?.parse().ok())?
    })
}

/// A program's name and its first argument from `/proc/<pid>/cmdline`: outside text, so without what a terminal would obey.
fn command_text(command: &[u8]) -> String {
    let words: Vec<String> = command
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .take(2)
        .map(|word| String::from_utf8_lossy(word).chars().filter(|c| !c.is_control()).take(40).collect())
        .collect();
    let program = words.first().and_then(|word| word.rsplit('/').next()).unwrap_or("unknown");
    match words.get(1) {
        Some(argument) if !argument.starts_with('-') => format!("{program} {argument}"),
        _ => program.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_port_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let error = runtime.block_on(async { take(address).expect_err("it is taken") });
        let said = format!("{error:?}");
        assert!(
            said.contains(&format!("cannot listen on {address}: in use by pid {} (", std::process::id())),
            "{said}"
        );
        assert!(said.contains("coracle serve --listen 127.0.0.1:0 "), "{said}");
    }

    #[test]
    fn a_port_that_is_only_connected_to_is_not_listened_on() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:192B 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 11 1\n   \
                     1: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22 1\n";
        assert_eq!(listening_inode(table, 0x192b), Some(22));
        assert_eq!(listening_inode(table, 80), None);
        assert_eq!(listening_inode("head\nnonsense\n", 80), None);
    }

    #[test]
    fn a_program_is_named_without_its_path_and_without_control_characters() {
        let cases: [(&[u8], &str); 5] = [
            (b"/usr/bin/k3s\0server\0--x\0", "k3s server"),
            (b"nginx\0-g\0", "nginx"),
            (b"", "unknown"),
            (b"a\x1b[31m\0b\0", "a[31m b"),
            (b"\xff\0", "\u{fffd}"),
        ];
        for (command, text) in cases {
            assert_eq!(command_text(command), text);
        }
    }
}
