//! Mail for real: into a folder, and to a small server on loopback; and what settings are refused.

use super::*;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

fn mail(subject: &str) -> Mail {
    Mail { to: Email::parse("bob@example.org").unwrap(), subject: subject.into(), body: "four plain words\n".into() }
}

fn to_folder(folder: &Path) -> MailSettings {
    MailSettings {
        transport: TransportKind::File,
        from: "Portdrift <portdrift@example.org>".into(),
        folder: Some(folder.to_str().unwrap().parse().unwrap()),
        ..MailSettings::default()
    }
}

async fn settled(mailer: &Mailer) -> MailStatus {
    let done = async {
        loop {
            let status = mailer.status();
            if status.sent + status.failed > 0 {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), done).await.expect("the mail is sent or given up")
}

#[tokio::test]
async fn a_mail_lies_in_the_folder_with_its_head_and_text() {
    let folder = tempfile::tempdir().unwrap();
    let mailer = Mailer::start(&to_folder(folder.path())).unwrap();
    mailer.send(mail("Portdrift: hello")).unwrap();
    assert_eq!(settled(&mailer).await.sent, 1);
    mailer.stop().await;
    let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(file).unwrap();
    for part in [
        "From: Portdrift <portdrift@example.org>",
        "To: bob@example.org",
        "Subject: Portdrift: hello",
        "four plain words",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// Speaks as much SMTP as one mail needs; refuses every recipient if told so. Gives what was said to it.
async fn serve(listener: TcpListener, refuses: bool) -> String {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream: BufReader<TcpStream> = BufReader::new(stream);
    let (mut said, mut in_data) = (String::new(), false);
    stream.write_all(b"220 test ESMTP\r\n").await.unwrap();
    for _ in 0..1_000 {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            break;
        }
        said.push_str(&line);
        let answer: &[u8] = match line.trim_end() {
            "." if in_data => {
                in_data = false;
                b"250 taken\r\n"
            }
            _ if in_data => continue,
            "DATA" => {
                in_data = true;
                b"354 go on\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            line if line.starts_with("RCPT") && refuses => b"550 no such person here\r\n",
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).await.unwrap();
    }
    said
}

async fn to_server(refuses: bool) -> (MailStatus, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(serve(listener, refuses));
    let settings = MailSettings {
        server: "127.0.0.1".into(),
        port,
        security: Security::None,
        from: "portdrift@example.org".into(),
        ..MailSettings::default()
    };
    let mailer = Mailer::start(&settings).unwrap();
    mailer.send(mail("Portdrift: hello")).unwrap();
    let status = settled(&mailer).await;
    mailer.stop().await;
    (status, server.await.unwrap())
}

#[tokio::test]
async fn a_server_takes_a_mail_and_one_that_refuses_is_told_to_the_administrator_at_once() {
    let (status, said) = to_server(false).await;
    assert_eq!((status.sent, status.failed), (1, 0));
    assert!(said.contains("RCPT TO:<bob@example.org>") && said.contains("four plain words"), "{said}");
    let (status, _) = to_server(true).await;
    assert_eq!((status.sent, status.failed), (0, 1));
    assert_eq!(status.failures[0].to.as_str(), "bob@example.org");
    assert!(status.failures[0].reason.as_str().contains("no such person here"), "{:?}", status.failures);
}

/// Nothing lets the one task run between these lines: the queue is full before the first mail leaves it.
#[tokio::test]
async fn the_queue_is_bounded_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mailer = Mailer::start(&to_folder(folder.path())).unwrap();
    for number in 0..QUEUE {
        mailer.send(mail(&number.to_string())).unwrap();
    }
    assert_eq!(mailer.send(mail("one more")), Err(QueueFull));
    mailer.stop().await;
}

#[test]
fn settings_that_make_no_sense_are_refused_with_a_remedy() {
    let usual =
        MailSettings { server: "mail.example.org".into(), from: "a@example.org".into(), ..MailSettings::default() };
    let table = [
        MailSettings { server: " ".into(), ..usual.clone() },
        MailSettings { from: "nobody".into(), ..usual.clone() },
        MailSettings { transport: TransportKind::File, ..usual.clone() },
        MailSettings { security: Security::None, ..usual.clone() },
        MailSettings { user: Some("portdrift".into()), ..usual.clone() },
        MailSettings { url: Some("watch.example.org".into()), ..usual.clone() },
        MailSettings { user: Some("portdrift".into()), password_file: "/nonexistent".parse().ok(), ..usual.clone() },
    ];
    let told: Vec<String> = table.iter().map(|settings| Transport::new(settings).err().unwrap().to_string()).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    mail.server: transport "smtp" needs the name of the mail server
    mail.from: "nobody" is no sender; write the sender, such as Portdrift <portdrift@example.org>
    mail.folder: transport "file" needs the folder to write to
    mail.security: "none" is for a server on this machine; use "tls" or "starttls": the links in mails open accounts
    mail.user: user and password_file belong together; give both or none
    mail.url: "watch.example.org" is no address of a dashboard; it begins with https://
    mail.password_file: reading /nonexistent: No such file or directory (os error 2)
    "#);
    for security in [Security::Tls, Security::Starttls] {
        assert!(Transport::new(&MailSettings { security, ..usual.clone() }).is_ok());
    }
}
