"""Drives a whole cluster's life with Hetzner's official Python client, unchanged, against any endpoint of the API.

Usage: official_client.py ENDPOINT [CODE], with the token in HCLOUD_TOKEN. With CODE, the creation of the server
`check-doomed` must fail with this code of an action's error. The project must be empty, and is empty again
afterwards. Prints one line for each step and ends with an assertion error at the first thing that is not as the client
promises.
"""

import os
import sys
from datetime import datetime, timezone

from hcloud import APIException, Client
from hcloud.actions import ActionFailedException
from hcloud.firewalls import FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.networks import NetworkRoute, NetworkSubnet
from hcloud.placement_groups import PlacementGroup
from hcloud.server_types import ServerType
from hcloud.servers import ServerCreatePublicNetwork

client = Client(token=os.environ["HCLOUD_TOKEN"], api_endpoint=sys.argv[1], poll_interval=0.05)


def step(text):
    print(f"python client: {text}", flush=True)


def refused(code, call):
    try:
        call()
    except APIException as error:
        assert error.code == code, f"expected {code}, got {error.code}: {error.message}"
        return
    raise AssertionError(f"expected {code}, but the call succeeded")


PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f test"
LABELS = {"project": "trading", "stack": "check", "expires-at": "1767225600"}

step("what can be ordered")
types = {one.name: one for one in client.server_types.get_all()}
assert types["cpx32"].cores == 4 and types["cpx32"].memory == 8
orderable = {one.location.name for one in types["cpx31"].locations if one.deprecation is None}
assert orderable == {"ash", "hil", "sin"}, orderable
assert [one.name for one in client.locations.get_all()] == ["fsn1", "nbg1", "hel1", "ash", "hil", "sin"]
image = client.images.get_by_name_and_architecture("ubuntu-24.04", "x86")
assert image is not None and image.os_flavor == "ubuntu"
assert client.images.get_by_id(45557056).deprecation.announced < datetime.now(timezone.utc)
here = next(one for one in types["cx33"].locations if one.location.name == "fsn1")
assert here.available is False and here.deprecation is None
assert client.locations.get_by_name("hel1").network_zone == "eu-central"

step("SSH key, network with a subnet, firewall, placement group")
key = client.ssh_keys.create(name="check", public_key=PUBLIC_KEY, labels=LABELS)
assert key.fingerprint == "0f:a2:0a:d7:38:3e:65:45:08:6b:63:84:1c:ff:dc:ba"
network = client.networks.create(name="check", ip_range="10.0.0.0/16", labels=LABELS)
subnet = NetworkSubnet(type="cloud", network_zone="eu-central", ip_range="10.0.1.0/24")
network.add_subnet(subnet).wait_until_finished()
network.reload()
assert [one.gateway for one in network.subnets] == ["10.0.0.1"]
rule = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["127.0.0.0/8"], description="SSH")
firewall = client.firewalls.create(name="check", rules=[rule], labels=LABELS).firewall
group = client.placement_groups.create(name="check", type="spread", labels=LABELS).placement_group
refused("invalid_input", lambda: network.add_subnet(NetworkSubnet(type="cloud", network_zone="eu-central", ip_range="10.0.1.128/25")))
route = NetworkRoute(destination="192.168.7.0/24", gateway="10.0.1.1")
network.add_route(route).wait_until_finished()
network.delete_route(route).wait_until_finished()
refused("invalid_input", lambda: network.change_ip_range("10.0.0.0/17"))
refused("uniqueness_error", lambda: client.networks.create(name="check", ip_range="10.0.0.0/16"))
refused("invalid_input", lambda: client.networks.create(name="other", ip_range="8.8.8.0/24"))

step("four servers at once")
addresses = {"k3s-control": "10.0.1.1", "kafka-0": "10.0.1.10", "kafka-1": "10.0.1.11", "kafka-2": "10.0.1.12"}
created = {
    name: client.servers.create(
        name=f"check-{name}",
        server_type=ServerType(name="cpx22" if name == "k3s-control" else "cpx32"),
        image=Image(name="ubuntu-24.04"),
        location=Location(name="fsn1"),
        ssh_keys=[key],
        firewalls=[firewall],
        placement_group=PlacementGroup(id=group.id),
        public_net=ServerCreatePublicNetwork(enable_ipv4=True, enable_ipv6=False),
        labels={**LABELS, "role": "k3s-control" if name == "k3s-control" else "kafka"},
        user_data="#cloud-config\n{}\n",
    )
    for name in addresses
}
refused("locked", created["kafka-0"].server.delete)


def order(name, server_type, location="fsn1"):
    return lambda: client.servers.create(
        name=name, server_type=ServerType(name=server_type), image=image, location=Location(name=location)
    )


refused("resource_unavailable", order("sold-out", "cx33"))
refused("invalid_input", order("retired", "cpx31"))
refused("invalid_input", order("not a host name", "cpx32"))
refused("uniqueness_error", order("check-kafka-0", "cpx32"))
for name, response in created.items():
    response.action.wait_until_finished()
    for action in response.next_actions:
        action.wait_until_finished()
    response.server.attach_to_network(network=network, ip=addresses[name]).wait_until_finished()

step("lists, filters and single resources")
servers = client.servers.get_all(label_selector="role=kafka")
assert [server.name for server in servers] == ["check-kafka-0", "check-kafka-1", "check-kafka-2"]
control = client.servers.get_by_name("check-k3s-control")
assert control.status == "running" and control.private_net[0].ip == "10.0.1.1"
assert control.public_net.ipv4.ip.startswith("127.64.")
assert control.public_net.firewalls[0].firewall.id == firewall.id
assert len(client.primary_ips.get_all()) == 4
assert len(client.placement_groups.get_by_name("check").servers) == 4
firewall.reload()
assert len(firewall.applied_to) == 4

assert sorted(one.ip for one in network.get_member_all(status=["ok"])) == sorted(addresses.values())
page = client.servers.get_list(per_page=3, page=2)
assert [server.name for server in page.servers] == ["check-kafka-2"]
assert page.meta.pagination.total_entries == 4 and page.meta.pagination.last_page == 2
assert client.servers.get_all(label_selector="role notin (kafka),stack,!absent")[0].name == "check-k3s-control"
assert control.get_actions(sort=["id:desc"])[-1].command == "create_server"

step("addresses: a primary IP of its own, assigned while the server is off")
control.power_off().wait_until_finished()
own = client.primary_ips.create(type="ipv4", name="check", location=Location(name="fsn1"), auto_delete=False).primary_ip
assert own.assignee_id is None
first = client.primary_ips.get_by_id(control.public_net.primary_ipv4.id)
refused("server_has_ipv4", lambda: own.assign(control.id, "server"))
first.unassign().wait_until_finished()
own.assign(control.id, "server").wait_until_finished()
refused("must_be_unassigned", own.delete)
first.delete()
control.power_on().wait_until_finished()
own.change_dns_ptr(ip=own.ip, dns_ptr="k3s-control.example.org").wait_until_finished()
control.change_alias_ips(network, ["10.0.1.99"]).wait_until_finished()
refused("ip_not_available", lambda: control.change_alias_ips(network, ["10.0.0.1"]))
control.reload()
assert control.public_net.ipv4.ip == own.ip and control.private_net[0].alias_ips == ["10.0.1.99"]

step("power, names, protection, refusals")
control.power_off().wait_until_finished()
control.reload()
assert control.status == "off"
control.power_on().wait_until_finished()
control = control.update(name="check-renamed", labels={**LABELS, "role": "other"})
assert client.servers.get_by_name("check-renamed").labels["role"] == "other"
control.change_protection(delete=True, rebuild=True).wait_until_finished()
refused("protected", control.delete)
control.change_protection(delete=False, rebuild=False).wait_until_finished()
refused("resource_in_use", firewall.delete)
refused("service_error", lambda: network.delete_subnet(subnet))
for action in firewall.set_rules([rule, FirewallRule(direction="in", protocol="tcp", port="6443", source_ips=["127.0.0.0/8"])]):
    action.wait_until_finished()
firewall.reload()
assert [one.port for one in firewall.rules] == ["22", "6443"]
client.servers.get_by_name("check-kafka-1").shutdown().wait_until_finished()
client.servers.get_by_name("check-kafka-2").reset().wait_until_finished()
client.servers.get_by_name("check-kafka-2").detach_from_network(network).wait_until_finished()
selected = FirewallResource(
    type=FirewallResource.TYPE_LABEL_SELECTOR, label_selector=FirewallResourceLabelSelector(selector="role=other")
)
for action in firewall.apply_to_resources([selected]):
    action.wait_until_finished()
for action in firewall.remove_from_resources([selected]):
    action.wait_until_finished()

if len(sys.argv) > 2:
    step("an action that fails is an error of the client's own kind")
    group.update(labels={"role": "doomed"})
    doomed = client.servers.create(name="check-doomed", server_type=ServerType(name="cpx22"), image=image)
    try:
        doomed.action.wait_until_finished()
        raise AssertionError("the action was to fail")
    except ActionFailedException as error:
        assert error.action.error["code"] == sys.argv[2], error.action.error
    assert client.servers.get_by_name("check-doomed").status == "off"

step("everything is removed")
for action in [server.delete() for server in client.servers.get_all()]:
    action.wait_until_finished()
network.delete_subnet(subnet).wait_until_finished()
network.delete()
firewall.delete()
group.delete()
key.delete()
# It was not to go with its server, and would bill until it is deleted.
assert [one.name for one in client.primary_ips.get_all()] == ["check"]
own.reload()
assert own.assignee_id is None
own.delete()
for resources in (
    client.servers,
    client.networks,
    client.firewalls,
    client.ssh_keys,
    client.placement_groups,
    client.primary_ips,
    client.volumes,
    client.load_balancers,
):
    assert resources.get_all() == []
refused("not_found", lambda: client.servers.get_by_id(control.id))

wrong = Client(token="0" * 64, api_endpoint=sys.argv[1])
refused("unauthorized", wrong.servers.get_all)
step("done")
