//! The addresses of FTPS: IPv6, EPSV ALL, and what PASV announces, also to the clients of one network alone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::harness::ftps::{announced, code};
use crate::harness::{Ftps, Gateway, Ledger, Plan};

/// A client that is logged in, from this address.
async fn login_from(gateway: &Gateway, from: &str) -> Ftps {
    let mut client = Ftps::connect_at(gateway, gateway.ftps, from.parse().unwrap(), &rustls::version::TLS13).await;
    client.secure().await;
    client.enter("edi01").await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_ipv6_data_connections_come_by_the_extended_commands() {
    // Whatever is announced to clients of IPv4, it is not for these.
    let plan = Plan::new(Ledger::Sqlite).ftps_listen("[::1]:0").ftps("active_mode = true");
    let gateway = plan.ftps("passive_address = \"192.0.2.7\"").start().await;
    for implicit in [false, true] {
        let mut client = if implicit {
            let mut client = Ftps::implicit(&gateway, &rustls::version::TLS13).await;
            client.enter("edi01").await;
            client
        } else {
            Ftps::login(&gateway, "edi01").await
        };
        let refused = client.say("PASV").await;
        assert!(refused.starts_with("425 ") && refused.contains("EPSV"), "{refused}");
        assert_eq!(client.say("EPSV 1").await, "522 network protocol not supported, use (2)");
        let said = client.say("EPSV 2").await;
        assert!(said.starts_with("229 ") && said.ends_with("|)"), "{said}");
        let path = format!("/inbound/six-{implicit}.bin");
        assert_eq!(code(&client.put(&format!("STOR {path}"), b"six").await), 226);
        assert_eq!(client.get(&format!("RETR {path}")).await.0, b"six");

        // Active: EPRT of the other family, of another address, of its own.
        assert_eq!(client.code("EPRT |1|127.0.0.1|5000|").await, 501);
        assert_eq!(client.code("PORT 127,0,0,1,20,0").await, 501);
        assert_eq!(client.code("EPRT |2|2001:db8::1|5000|").await, 501);
        assert_eq!(client.say("EPRT |3|::1|5000|").await, "522 network protocol not supported, use (1,2)");
        let own = TcpListener::bind("[::1]:0").await.unwrap();
        assert_eq!(client.code(&format!("EPRT |2|::1|{}|", own.local_addr().unwrap().port())).await, 200);
        assert_eq!(code(&client.say(&format!("RETR {path}")).await), 150);
        let (stream, from) = own.accept().await.unwrap();
        assert_eq!(from.ip(), gateway.ftps.ip(), "from the address that the client talks to");
        let data = client.secure_data(stream).await.unwrap();
        assert_eq!(client.take_all((String::new(), Some(data))).await.0, b"six");
    }
}

/// A firewall of the client's that swallows what is sent to it keeps nobody from being heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_does_not_answer_leaves_the_client_heard() {
    let plan = Plan::new(Ledger::Sqlite).ftps("active_mode = true").ftps("data_timeout = \"2m\"");
    let gateway = plan.start().await;
    let mut client = Ftps::login(&gateway, "edi01").await;
    assert_eq!(code(&client.put("STOR /inbound/mute.bin", b"mute").await), 226);
    // The system drops what would begin another connection while as many as it holds wait to be accepted.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mute = socket.listen(1).unwrap();
    let address = mute.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
        assert!(waiting.len() < 100, "it never fills");
    }
    for command in ["RETR /inbound/mute.bin", "STOR /inbound/more.bin"] {
        assert_eq!(client.code(&format!("EPRT |1|127.0.0.1|{}|", address.port())).await, 200);
        let began = Instant::now();
        assert_eq!(client.code(command).await, 150);
        assert_eq!(client.code("NOOP").await, 200);
        assert_eq!(client.code("STAT").await, 211);
        assert_eq!(client.code("ABOR").await, 426);
        assert_eq!(code(&client.reply().await), 226);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
    assert_eq!(client.get("RETR /inbound/mute.bin").await.0, b"mute");
}

/// One listener for both families sees clients of IPv4 at addresses of IPv6.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_ipv4_at_a_listener_for_both_is_one_of_ipv4() {
    let gateway = Plan::new(Ledger::Sqlite).ftps_listen("[::]:0").start().await;
    let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let server = SocketAddr::new(localhost, gateway.ftps.port());
    let mut client = Ftps::connect_at(&gateway, server, localhost, &rustls::version::TLS13).await;
    client.secure().await;
    client.enter("edi01").await;
    let said = client.say("PASV").await;
    let address = announced(&said).expect(&said);
    assert_eq!(address.ip(), localhost);
    let opened = client.open_at(address, "STOR /inbound/four.bin").await;
    assert_eq!(code(&client.send_all(opened, b"four").await), 226);
    assert_eq!(client.say("EPSV 2").await, "522 network protocol not supported, use (1)");
    let status = client.say("STAT").await;
    assert!(status.contains("from 127.0.0.1"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_announced_address_depends_on_the_client() {
    let plan = Plan::new(Ledger::Sqlite).ftps("passive_address = \"192.0.2.7\"").ftps(
        "passive_addresses = [{ network = \"127.0.0.2/32\", address = \"198.51.100.9\" }, \
         { network = \"127.0.0.0/30\", address = \"203.0.113.5\" }, { network = \"127.0.0.9/32\", address = \"2001:db8::9\" }]",
    );
    let gateway = plan.start().await;
    // The first network that fits wins; what is in none hears the address for all.
    for (from, expected) in [
        ("127.0.0.2", "198.51.100.9"),
        ("127.0.0.1", "203.0.113.5"),
        ("127.0.0.3", "203.0.113.5"),
        ("127.0.0.8", "192.0.2.7"),
    ] {
        let mut client = login_from(&gateway, from).await;
        let said = client.say("PASV").await;
        assert_eq!(announced(&said).expect(&said).ip().to_string(), expected, "{from}");
        // The port is that of a listener here, where the client's way leads to.
        let address = client.agreed(&said);
        let opened = client.open_at(address, &format!("STOR /inbound/{from}.bin")).await;
        assert_eq!(code(&client.send_all(opened, from.as_bytes()).await), 226, "{from}");
        // EPSV tells no address, so there is nothing to translate.
        assert_eq!(client.get(&format!("RETR /inbound/{from}.bin")).await.0, from.as_bytes());
    }
    // An address of IPv6 cannot be told in 227.
    let mut client = login_from(&gateway, "127.0.0.9").await;
    let refused = client.say("PASV").await;
    assert!(refused.starts_with("425 ") && refused.contains("EPSV"), "{refused}");
    assert_eq!(code(&client.put("STOR /inbound/nine.bin", b"nine").await), 226);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_epsv_all_nothing_else_makes_a_data_connection() {
    let gateway = Plan::new(Ledger::Sqlite).ftps("active_mode = true").start().await;
    let mut client = Ftps::login(&gateway, "edi01").await;
    let said = client.say("PASV").await;
    assert_eq!(code(&said), 227);
    assert_eq!(client.code("EPSV ALL").await, 200);
    // What was agreed on before is given up.
    assert_eq!(client.code("STOR /inbound/all.bin").await, 425);
    for other in ["PASV", "PORT 127,0,0,1,20,0", "EPRT |1|127.0.0.1|5000|"] {
        assert_eq!(client.code(other).await, 503, "{other}");
    }
    assert_eq!(code(&client.put("STOR /inbound/all.bin", b"all").await), 226);
    assert_eq!(client.get("RETR /inbound/all.bin").await.0, b"all");
    assert_eq!(client.code("EPSV ALL").await, 200, "it may be said again");
    // It holds as long as the login.
    assert_eq!(client.code("REIN").await, 220);
    client.enter("edi01").await;
    assert_eq!(client.code("PASV").await, 227);
}
