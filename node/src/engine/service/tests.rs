//! Recognition against canned servers in 127.77.2.0/24, and its parsers against anything.

mod memory;
mod volatile;

use super::found::Said;
use super::questions::Parser;
use super::*;
use crate::engine::builtin::Builtin;
use crate::engine::trial::{Manner, admitted, scan, serve};
use proptest::prelude::*;
use protocol::observation::ServiceMethod;

const SERVER_HELLO: &[u8] = &[22, 3, 3, 0, 80, 2, 0, 0, 76, 3, 3, 1, 2, 3];
const MYSQL: &[u8] = b"\x4a\x00\x00\x00\x0a8.0.36-0ubuntu0.22.04.1\x00\x08\x00\x00\x00salt";
const MARIADB: &[u8] = b"\x4a\x00\x00\x00\x0a5.5.5-10.11.6-MariaDB-0+deb12u1\x00\x08\x00\x00\x00salt";
const NOT_ALLOWED: &[u8] =
    b"\x45\x00\x00\x00\xff\x6a\x04Host '10.0.0.1' is not allowed to connect to this MySQL server";
const REDIS: &[u8] = b"+PONG\r\n$120\r\n# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n\r\n";
const NGINX: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.18.0 (Ubuntu)\r\nContent-Length: 2\r\n\r\nhi";
const APACHE: &[u8] = b"HTTP/1.1 403 Forbidden\r\nDate: today\r\nserver: Apache/2.4.57 (Debian)\r\n\r\n";
const PYTHON: &[u8] = b"HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6 Python/3.11.2\r\n\r\n";
const POSTGRES: &[u8] = b"E\0\0\0\x62SFATAL\0VFATAL\0C0A000\0Munsupported frontend protocol 65363.0\0\0";
const MONGODB: &[u8] =
    b"\x50\0\0\0\x09\0\0\0\x01\0\0\0\xdd\x07\0\0\0\0\0\0\0\x30\0\0\0\x02version\0\x07\0\0\x006.0.14\0\0";
const MSSQL: &[u8] = b"\x04\x01\0\x1b\0\0\x01\0\0\0\x06\0\x06\xff\x0f\0\x07\xd0\0\0";
const DNSMASQ: &[u8] = b"\0\x37\x70\x64\x85\0\0\x01\0\x01\0\0\0\0\x07version\x04bind\0\0\x10\0\x03\xc0\x0c\0\x10\0\x03\0\0\0\0\0\x0d\x0cdnsmasq-2.90";
const LDAP: &[u8] = b"\x30\x30\x02\x01\x01\x64\x2b\x04\0\x30\x27\x30\x25\x04\x0bobjectClass\x31\x16\x04\x03top\x04\x0fOpenLDAProotDSE\x30\x0c\x02\x01\x01\x65\x07";
const RPC: &[u8] = b"\x80\0\0\x20\x70\x64\x72\x66\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x02\0\0\0\x04";
const MQTT: &[u8] = b"\x20\x02\0\0\x90\x03\0\x01\0\x31\x2d\0\x13$SYS/broker/versionmosquitto version 2.0.11";
const AMQP: &[u8] =
    b"\x01\0\0\0\0\x01\xfe\0\x0a\0\x0a\0\x09\0\0\x01\xd9\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x063.10.8";
const ELASTIC: &[u8] = b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{ \"name\" : \"n1\", \"version\" : { \"number\" : \"7.17.0\", \"lucene_version\" : \"8.11.1\" }, \"tagline\" : \"You Know, for Search\" }";
const RDP: &[u8] = &[3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 31, 8, 0, 2, 0, 0, 0];

/// Scans one server of each manner at the same time; one line a server, in order.
async fn identified(address: &str, servers: &[(&str, Manner)]) -> String {
    let mut ports = Vec::new();
    for (_, manner) in servers {
        ports.push(serve(address, *manner).await);
    }
    let text = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let scanned = scan(&Builtin::new(), admitted(address, &text, "-sV")).await;
    let host = scanned.host(address);
    assert_eq!(host.ports.len(), servers.len(), "every port is open");
    let lines = servers.iter().zip(&ports).map(|((label, _), port)| {
        let found = host.ports.iter().find(|one| one.port == *port).unwrap();
        match &found.service {
            Some(s) if s.method == ServiceMethod::Probed => {
                format!(
                    "{label}: {} | {} | {} | {}{}",
                    s.name,
                    s.product,
                    s.version,
                    s.extra,
                    if s.tls { " | tls" } else { "" }
                )
            }
            Some(service) if service.extra.is_empty() => format!("{label}: -"),
            Some(service) => format!("{label}: ({}) {}", service.name, service.extra),
            None => format!("{label}: -"),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn services_that_greet_are_named_with_product_and_version() {
    let lines = identified(
        "127.77.2.1",
        &[
            ("ssh", Manner::Greets(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")),
            ("ssh plain", Manner::Greets(b"SSH-2.0-OpenSSH_9.2p1\r\n")),
            ("dropbear", Manner::Greets(b"SSH-2.0-dropbear_2022.83\r\n")),
            ("ftp", Manner::Greets(b"220 (vsFTPd 3.0.3)\r\n")),
            ("smtp", Manner::Greets(b"220 mail.example.org ESMTP Postfix (Debian/GNU)\r\n")),
            ("exim", Manner::Greets(b"220 mail.example.org ESMTP Exim 4.96 Sun, 1 Jan 2023 00:00:00 +0000\r\n")),
            ("pop3", Manner::Greets(b"+OK Dovecot ready.\r\n")),
            ("imap", Manner::Greets(b"* OK [CAPABILITY IMAP4rev1 LOGIN] Dovecot (Debian) ready.\r\n")),
            ("mysql", Manner::Greets(MYSQL)),
            ("mariadb", Manner::Greets(MARIADB)),
            ("mysql refuses", Manner::Greets(NOT_ALLOWED)),
            ("vnc", Manner::Greets(b"RFB 003.008\n")),
            ("telnet", Manner::Greets(&[0xff, 0xfd, 0x18, 0xff, 0xfd, 0x20])),
            ("nntp", Manner::Greets(b"200 news.example.org InterNetNews NNRP server INN 2.7.1 ready (posting ok)\r\n")),
            ("rsync", Manner::Greets(b"@RSYNCD: 31.0\n")),
            ("svn", Manner::Greets(b"( success ( 2 2 ( ) ( edit-pipeline svndiff1 ) ) ) ")),
        ],
    )
    .await;
    insta::assert_snapshot!(lines, @"
    ssh: ssh | OpenSSH | 9.2p1 Debian 2+deb12u3 | protocol 2.0
    ssh plain: ssh | OpenSSH | 9.2p1 | protocol 2.0
    dropbear: ssh | Dropbear sshd | 2022.83 | protocol 2.0
    ftp: ftp | vsftpd | 3.0.3 | 
    smtp: smtp | Postfix smtpd |  | 
    exim: smtp | Exim smtpd | 4.96 | 
    pop3: pop3 | Dovecot pop3d |  | 
    imap: imap | Dovecot imapd |  | 
    mysql: mysql | MySQL | 8.0.36-0ubuntu0.22.04.1 | 
    mariadb: mysql | MySQL | 5.5.5-10.11.6-MariaDB-0+deb12u1 | 
    mysql refuses: mysql | MySQL |  | unauthorized
    vnc: vnc | VNC |  | protocol 3.8
    telnet: telnet |  |  | 
    nntp: nntp | InterNetNews (INN) | 2.7.1 | 
    rsync: rsync |  |  | protocol version 31
    svn: svnserve | Subversion |  |
    ");
}

#[tokio::test]
async fn services_that_wait_to_be_asked_are_named_by_their_answers() {
    let lines = identified(
        "127.77.2.2",
        &[
            ("nginx", Manner::Answers(b"GET ", NGINX)),
            ("apache", Manner::Answers(b"GET ", APACHE)),
            ("python", Manner::Answers(b"GET ", PYTHON)),
            ("bare http", Manner::Answers(b"GET ", b"HTTP/1.0 404 Not Found\r\n\r\n")),
            ("tls", Manner::Answers(&[22, 3, 1], SERVER_HELLO)),
            ("tls alert", Manner::Answers(&[22, 3, 1], &[21, 3, 3, 0, 2, 2, 40])),
            ("tls, one at a time", Manner::AnswersAlone(&[22, 3, 1], SERVER_HELLO)),
            (
                "slow tls, quick refusal",
                Manner::AnswersLate([(b"GET ", b"HTTP/1.1 400 Bad Request\r\n\r\n"), (&[22, 3, 1], SERVER_HELLO)]),
            ),
            ("redis", Manner::Answers(b"PING\r\n", REDIS)),
            ("redis with password", Manner::Answers(b"PING\r\n", b"-NOAUTH Authentication required.\r\n")),
            ("postgres", Manner::Answers(&[0, 0, 0, 0x18, 0xff], POSTGRES)),
            ("rdp", Manner::Answers(&[3, 0, 0, 19, 14, 0xe0], RDP)),
        ],
    )
    .await;
    insta::assert_snapshot!(lines, @"
    nginx: http | nginx | 1.18.0 | Ubuntu
    apache: http | Apache httpd | 2.4.57 | (Debian)
    python: http | SimpleHTTPServer | 0.6 | Python 3.11.2
    bare http: http |  |  | 
    tls: ssl |  |  |  | tls
    tls alert: ssl |  |  |  | tls
    tls, one at a time: ssl |  |  |  | tls
    slow tls, quick refusal: ssl |  |  |  | tls
    redis: redis | Redis key-value store | 7.0.15 | 
    redis with password: redis | Redis key-value store |  | 
    postgres: postgresql | PostgreSQL DB | 9.6.0 or later | 
    rdp: ms-wbt-server |  |  |
    ");
}

#[tokio::test]
async fn stores_name_servers_and_those_that_pass_messages_on_are_named_by_their_answers() {
    let lines = identified(
        "127.77.2.5",
        &[
            ("memcached", Manner::Answers(b"version\r\n", b"VERSION 1.6.18\r\n")),
            ("mongodb", Manner::Answers(b"\x38\0\0\0\x01", MONGODB)),
            ("sql server", Manner::Answers(b"\x12\x01\0\x29", MSSQL)),
            ("zookeeper", Manner::Answers(b"srvr", b"Zookeeper version: 3.8.0-5a02, built on 1.1.2022\nReceived: 7\n")),
            ("dnsmasq", Manner::Answers(b"\0\x1e\x70\x64", DNSMASQ)),
            ("ldap", Manner::Answers(b"\x30\x4d", LDAP)),
            ("rpcbind", Manner::Answers(b"\x80\0\0\x28", RPC)),
            ("epmd", Manner::Answers(b"\0\x01n", b"\0\0\x11\x11name rabbit at port 25672\n")),
            ("mqtt", Manner::Answers(b"\x10\x15\0\x04MQTT", MQTT)),
            ("mqtt with password", Manner::Answers(b"\x10\x15\0\x04MQTT", b"\x20\x02\0\x05")),
            ("amqp", Manner::Answers(b"AMQP", AMQP)),
            ("sip", Manner::Answers(b"OPTIONS ", b"SIP/2.0 200 OK\r\nServer: Asterisk PBX 18.9\r\n\r\n")),
            ("irc", Manner::Answers(b"VERSION\r\n", b":irc.example.net 451 * :Connection not registered\r\n")),
            ("xmpp", Manner::Answers(b"<?xml", b"<?xml version='1.0'?><stream:stream id='7' xmlns='jabber:client'>")),
            ("git", Manner::Answers(b"0033git", b"0043ERR access denied or repository not exported: /portdrift")),
            ("ajp", Manner::Answers(&[0x12, 0x34], &[b'A', b'B', 0, 1, 9])),
            ("socks", Manner::Answers(&[5, 1, 0], &[5, 0])),
            ("elasticsearch", Manner::Answers(b"GET ", ELASTIC)),
            ("docker", Manner::Answers(b"GET ", b"HTTP/1.0 404 Not Found\r\nServer: Docker/20.10.24 (linux)\r\n\r\n")),
        ],
    )
    .await;
    insta::assert_snapshot!(lines, @"
    memcached: memcached | Memcached | 1.6.18 | 
    mongodb: mongodb | MongoDB | 6.0.14 | 
    sql server: ms-sql-s | Microsoft SQL Server 2019 | 15.00.2000.00 | 
    zookeeper: zookeeper | Zookeeper | 3.8.0-5a02 | 
    dnsmasq: domain | dnsmasq | 2.90 | 
    ldap: ldap | OpenLDAP |  | 
    rpcbind: rpcbind |  | 2-4 | RPC #100000
    epmd: epmd | Erlang Port Mapper Daemon |  | 
    mqtt: mqtt | mosquitto | 2.0.11 | 
    mqtt with password: mqtt |  |  | 
    amqp: amqp | RabbitMQ | 3.10.8 | 0-9
    sip: sip | Asterisk PBX | 18.9 | 
    irc: irc | ngircd |  | 
    xmpp: xmpp-client |  |  | 
    git: git |  |  | 
    ajp: ajp13 | Apache Jserv |  | Protocol v1.3
    socks: socks5 |  |  | No authentication
    elasticsearch: http | Elasticsearch REST API | 7.17.0 | Lucene 8.11.1
    docker: docker | Docker | 20.10.24 | linux
    ");
}

#[tokio::test]
async fn hostile_and_unknown_servers_are_left_unnamed_in_bounded_time() {
    let lines = identified(
        "127.77.2.3",
        &[
            ("endless banner", Manner::Floods(b"AAAAAAAAAAAAAAAA")),
            ("endless ssh", Manner::Floods(b"SSH-2.0-")),
            ("slow drip", Manner::Drips(b'x')),
            ("garbage", Manner::Greets(&[0xff, 0x00, 0xfe, 0x80, 0x1b, 0x5b, 0x32, 0x4a])),
            ("silence", Manner::Waits),
            ("bare 220", Manner::Greets(b"220 hello\r\n")),
            ("half a line", Manner::Greets(b"SSH-2.0-Half")),
            ("terminal codes", Manner::Greets(b"SSH-2.0-\x1b[2JEvil_1\r\n")),
        ],
    )
    .await;
    insta::assert_snapshot!(lines, @r"
    endless banner: (unknown) says AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
    endless ssh: (unknown) says SSH-0.0-SSH-0.0-SSH-0.0-SSH-0.0-SSH-0.0-SSH-0.0-SSH-0.0-SSH-
    slow drip: (unknown) says xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    garbage: (unknown) says .[0J
    silence: -
    bare 220: (unknown) says 0 hello
    half a line: ssh | Half |  | protocol 2.0
    terminal codes: ssh | \u{1b}[2JEvil | 1 | protocol 2.0
    ");
}

#[tokio::test]
async fn without_identification_a_port_has_the_name_of_its_number_at_most() {
    let port = serve("127.77.2.4", Manner::Greets(b"SSH-2.0-OpenSSH_9.2p1\r\n")).await;
    let scanned = scan(&Builtin::new(), admitted("127.77.2.4", &port.to_string(), "")).await;
    assert_eq!(scanned.host("127.77.2.4").ports[0].service, by_number(port));
    assert_eq!(scanned.coverage().services, []);
    assert_eq!(by_number(22).unwrap().method, ServiceMethod::Table);
}

#[test]
fn the_hello_has_consistent_lengths() {
    let hello = tls::client_hello();
    let length = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    assert_eq!((hello[0], length(3), length(7)), (22, hello.len() - 5, hello.len() - 9));
}

/// Beginnings that lead deep into the parsers, with anything after them.
fn foreign() -> impl Strategy<Value = Vec<u8>> {
    let starts: Vec<&'static [u8]> = vec![
        b"",
        b"SSH-",
        b"SSH-2.0-",
        b"220 ",
        b"220 FTP ",
        b"220 SMTP Exim ",
        b"+OK",
        b"* OK",
        b"RFB ",
        b"HTTP/1.1 200\r\nServer: ",
        b"+PONG\r\nredis_version:",
        b"-NOAUTH",
        b"\x4a\0\0\0\x0a",
        b"\x4a\0\0\0\xff\x6a\x04",
        &[22, 3],
        &[21, 3],
        &[3, 0, 0],
        b"E\0\0\0\x62SFATAL\0",
        b"\0\x37\x70\x64\x85\0\0\x01\0\x01\0\0\0\0\x07version\x04bind\0\0\x10\0\x03\xc0",
        b"\x50\0\0\0\x09\0\0\0\x01\0\0\0\xdd\x07\0\0\x02version\0",
        b"\x04\x01\0\x1b\0\0\x01\0\0",
        b"\x30\x82\x02\x01\x01\x64",
        b"\x80\0\0\x20\x70\x64\x72\x66\0\0\0\x01\0\0\0\0",
        b"\x20\x02\0\0$SYS/broker/version",
        b"\x01\0\0\0\0\x01\xfe\0\x0a\0\x0a\0\x09\x07productS\0\0",
        b"SIP/2.0 ",
        b"<stream:stream",
        b"\0\0\0\x80\xfeSMB",
    ];
    (prop::sample::select(starts), prop::collection::vec(any::<u8>(), 0..200), any::<bool>())
        .prop_map(|(start, rest, ends)| [start, &rest, if ends { b"\r\n\r\n" } else { b"" }].concat())
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic_and_give_short_fields(bytes in foreign()) {
        let read = || [parse_greeting as Parser].into_iter().chain(PROBES.iter().map(|probe| probe.read));
        for is_over in [false, true] {
            for found in read().filter_map(|parse| parse(&Said { bytes: &bytes, is_over })) {
                for field in [&found.product, &found.version, &found.extra] {
                    prop_assert!(field.chars().count() <= 80);
                }
            }
        }
        prop_assert!(found::fingerprint(&bytes).chars().all(|c| matches!(c, ' '..='~')));
        let _ = certificate::subject(&bytes);
    }
}
