// Drives a whole cluster's life with Hetzner's official Go client, unchanged, against any endpoint of the API.
//
// Usage: go run . ENDPOINT, with the token in HCLOUD_TOKEN. The project must be empty, and is empty again afterwards.
// Prints one line for each step and exits with 1 at the first thing that is not as the client promises.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"sort"
	"strings"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f test"

var labels = map[string]string{"project": "trading", "stack": "check-go", "expires-at": "1767225600"}

// nodes of the cluster: name and private address, the control plane first.
var nodes = []struct{ name, address string }{
	{"k3s-control", "10.0.1.1"},
	{"kafka-0", "10.0.1.10"},
	{"kafka-1", "10.0.1.11"},
	{"kafka-2", "10.0.1.12"},
}

// run holds what the steps share.
type run struct {
	ctx      context.Context
	client   *hcloud.Client
	endpoint string

	key      *hcloud.SSHKey
	network  *hcloud.Network
	subnet   hcloud.NetworkSubnet
	firewall *hcloud.Firewall
	group    *hcloud.PlacementGroup
	servers  map[string]*hcloud.Server
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "go client: FAILED: "+format+"\n", args...)
	os.Exit(1)
}

func check(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func equal(what string, got, expected any) {
	if !reflect.DeepEqual(got, expected) {
		fail("%s: got %v, expected %v", what, got, expected)
	}
}

func refused(err error, code hcloud.ErrorCode, what string) {
	if !hcloud.IsError(err, code) {
		fail("%s: expected %s, got %v", what, code, err)
	}
}

func network(cidr string) *net.IPNet {
	_, parsed, err := net.ParseCIDR(cidr)
	check(err, cidr)
	return parsed
}

// wait waits for actions as the client does: by polling them by id.
func (r *run) wait(what string, actions ...*hcloud.Action) {
	check(r.client.Action.WaitFor(r.ctx, actions...), what)
}

func (r *run) one(action *hcloud.Action, _ *hcloud.Response, err error) func(string) {
	return func(what string) {
		check(err, what)
		r.wait(what, action)
	}
}

func (r *run) catalog() {
	types, err := r.client.ServerType.All(r.ctx)
	check(err, "server types")
	offers := map[string][]string{}
	for _, one := range types {
		for _, place := range one.Locations {
			if place.Available && !place.IsDeprecated() {
				offers[one.Name] = append(offers[one.Name], place.Location.Name)
			}
		}
	}
	equal("cpx31 is orderable in", offers["cpx31"], []string{"ash", "hil", "sin"})
	equal("cpx32 is orderable in", offers["cpx32"], []string{"fsn1", "nbg1", "hel1"})
	locations, err := r.client.Location.All(r.ctx)
	check(err, "locations")
	equal("locations", len(locations), 6)
	image, _, err := r.client.Image.GetByNameAndArchitecture(r.ctx, "ubuntu-24.04", hcloud.ArchitectureX86)
	check(err, "image")
	equal("flavor of the image", image.OSFlavor, "ubuntu")
	old, _, err := r.client.Image.Get(r.ctx, "45557056")
	check(err, "a deprecated image")
	equal("debian-11 is deprecated", old.IsDeprecated(), true)
	pricing, _, err := r.client.Pricing.Get(r.ctx)
	check(err, "pricing")
	equal("currency", pricing.Currency, "EUR")
	equal("primary IP types with a price", len(pricing.PrimaryIPs), 2)
}

func (r *run) foundations() {
	var err error
	r.key, _, err = r.client.SSHKey.Create(r.ctx, hcloud.SSHKeyCreateOpts{Name: "check-go", PublicKey: publicKey, Labels: labels})
	check(err, "SSH key")
	found, _, err := r.client.SSHKey.GetByFingerprint(r.ctx, "0f:a2:0a:d7:38:3e:65:45:08:6b:63:84:1c:ff:dc:ba")
	check(err, "SSH key by fingerprint")
	equal("the key with the fingerprint", found.ID, r.key.ID)

	r.network, _, err = r.client.Network.Create(r.ctx, hcloud.NetworkCreateOpts{Name: "check-go", IPRange: network("10.0.0.0/16"), Labels: labels})
	check(err, "network")
	r.subnet = hcloud.NetworkSubnet{Type: hcloud.NetworkSubnetTypeCloud, NetworkZone: hcloud.NetworkZoneEUCentral, IPRange: network("10.0.1.0/24")}
	r.one(r.client.Network.AddSubnet(r.ctx, r.network, hcloud.NetworkAddSubnetOpts{Subnet: r.subnet}))("subnet")
	_, _, err = r.client.Network.AddSubnet(r.ctx, r.network, hcloud.NetworkAddSubnetOpts{
		Subnet: hcloud.NetworkSubnet{Type: hcloud.NetworkSubnetTypeCloud, NetworkZone: hcloud.NetworkZoneEUCentral, IPRange: network("10.0.1.128/25")},
	})
	refused(err, hcloud.ErrorCodeInvalidInput, "an overlapping subnet")
	route := hcloud.NetworkRoute{Destination: network("192.168.7.0/24"), Gateway: net.ParseIP("10.0.1.1")}
	r.one(r.client.Network.AddRoute(r.ctx, r.network, hcloud.NetworkAddRouteOpts{Route: route}))("route")
	r.one(r.client.Network.DeleteRoute(r.ctx, r.network, hcloud.NetworkDeleteRouteOpts{Route: route}))("route removed")
	r.network, _, err = r.client.Network.GetByName(r.ctx, "check-go")
	check(err, "network by name")
	equal("gateway of the subnet", r.network.Subnets[0].Gateway.String(), "10.0.0.1")
	equal("routes", len(r.network.Routes), 0)

	result, _, err := r.client.Firewall.Create(r.ctx, hcloud.FirewallCreateOpts{
		Name:   "check-go",
		Labels: labels,
		Rules:  []hcloud.FirewallRule{rule("22", "SSH")},
	})
	check(err, "firewall")
	r.wait("firewall", result.Actions...)
	r.firewall = result.Firewall
	group, _, err := r.client.PlacementGroup.Create(r.ctx, hcloud.PlacementGroupCreateOpts{Name: "check-go", Labels: labels, Type: hcloud.PlacementGroupTypeSpread})
	check(err, "placement group")
	r.group = group.PlacementGroup

	_, _, err = r.client.Network.Create(r.ctx, hcloud.NetworkCreateOpts{Name: "check-go", IPRange: network("10.0.0.0/16")})
	refused(err, hcloud.ErrorCodeUniquenessError, "a second network of the name")
	_, _, err = r.client.Network.Create(r.ctx, hcloud.NetworkCreateOpts{Name: "public", IPRange: network("8.8.8.0/24")})
	refused(err, hcloud.ErrorCodeInvalidInput, "a network in a public range")
	var detailed hcloud.Error
	if !errors.As(err, &detailed) {
		fail("the error is no API error: %v", err)
	}
	fields, ok := detailed.Details.(hcloud.ErrorDetailsInvalidInput)
	equal("the error has details", ok, true)
	equal("the field that is wrong", fields.Fields[0].Name, "ip_range")
}

func rule(port, description string) hcloud.FirewallRule {
	return hcloud.FirewallRule{
		Direction:   hcloud.FirewallRuleDirectionIn,
		Protocol:    hcloud.FirewallRuleProtocolTCP,
		Port:        hcloud.Ptr(port),
		SourceIPs:   []net.IPNet{*network("127.0.0.0/8")},
		Description: hcloud.Ptr(description),
	}
}

func (r *run) wish(name, serverType, location string) hcloud.ServerCreateOpts {
	role := "kafka"
	if strings.HasSuffix(name, "control") {
		role = "k3s-control"
	}
	all := map[string]string{"role": role}
	for key, value := range labels {
		all[key] = value
	}
	return hcloud.ServerCreateOpts{
		Name:           name,
		ServerType:     &hcloud.ServerType{Name: serverType},
		Image:          &hcloud.Image{Name: "ubuntu-24.04"},
		Location:       &hcloud.Location{Name: location},
		SSHKeys:        []*hcloud.SSHKey{r.key},
		Firewalls:      []*hcloud.ServerCreateFirewall{{Firewall: *r.firewall}},
		PlacementGroup: r.group,
		PublicNet:      &hcloud.ServerCreatePublicNet{EnableIPv4: true, EnableIPv6: false},
		Labels:         all,
		UserData:       "#cloud-config\n{}\n",
	}
}

func (r *run) create() {
	type made struct {
		address string
		result  hcloud.ServerCreateResult
	}
	created := map[string]made{}
	for _, node := range nodes {
		serverType := "cpx32"
		if node.name == "k3s-control" {
			serverType = "cpx22"
		}
		result, _, err := r.client.Server.Create(r.ctx, r.wish("go-"+node.name, serverType, "fsn1"))
		check(err, node.name)
		equal("password of a server with a key", result.RootPassword, "")
		created[node.name] = made{node.address, result}
	}
	_, _, err := r.client.Server.Create(r.ctx, r.wish("go-sold-out", "cx33", "fsn1"))
	refused(err, hcloud.ErrorCodeResourceUnavailable, "a type without stock")
	_, _, err = r.client.Server.Create(r.ctx, r.wish("go-retired", "cpx31", "fsn1"))
	refused(err, hcloud.ErrorCodeInvalidInput, "a type that is gone")
	_, _, err = r.client.Server.Create(r.ctx, r.wish("go-kafka-0", "cpx32", "fsn1"))
	refused(err, hcloud.ErrorCodeUniquenessError, "a second server of the name")
	_, _, err = r.client.Server.DeleteWithResult(r.ctx, created["kafka-0"].result.Server)
	refused(err, hcloud.ErrorCodeLocked, "deleting a server that is being made")

	r.servers = map[string]*hcloud.Server{}
	for name, one := range created {
		r.wait(name, append([]*hcloud.Action{one.result.Action}, one.result.NextActions...)...)
		r.one(r.client.Server.AttachToNetwork(r.ctx, one.result.Server, hcloud.ServerAttachToNetworkOpts{
			Network: r.network,
			IP:      net.ParseIP(one.address),
		}))("private network of " + name)
		server, _, err := r.client.Server.GetByID(r.ctx, one.result.Server.ID)
		check(err, name)
		equal("status of "+name, server.Status, hcloud.ServerStatusRunning)
		equal("private address of "+name, server.PrivateNet[0].IP.String(), one.address)
		r.servers[name] = server
	}
}

func (r *run) look() {
	kafka, err := r.client.Server.AllWithOpts(r.ctx, hcloud.ServerListOpts{
		ListOpts: hcloud.ListOpts{LabelSelector: "role in (kafka),stack=check-go,!absent", PerPage: 2},
		Sort:     []string{"name:desc"},
	})
	check(err, "servers by label")
	names := []string{}
	for _, server := range kafka {
		names = append(names, server.Name)
	}
	// AllWithOpts follows the pages.
	equal("servers by label, sorted, over two pages", names, []string{"go-kafka-2", "go-kafka-1", "go-kafka-0"})
	off, err := r.client.Server.AllWithOpts(r.ctx, hcloud.ServerListOpts{Status: []hcloud.ServerStatus{hcloud.ServerStatusOff}})
	check(err, "servers by status")
	equal("servers that are off", len(off), 0)

	members, err := r.client.Network.AllMembersWithOpts(r.ctx, r.network, hcloud.NetworkMemberListOpts{
		Status: []hcloud.NetworkMemberStatus{hcloud.NetworkMemberStatusOK},
	})
	check(err, "members of the network")
	addresses := []string{}
	for _, member := range members {
		addresses = append(addresses, member.IP.String())
	}
	sort.Strings(addresses)
	equal("members of the network", addresses, []string{"10.0.1.1", "10.0.1.10", "10.0.1.11", "10.0.1.12"})
	group, _, err := r.client.PlacementGroup.GetByID(r.ctx, r.group.ID)
	check(err, "placement group")
	equal("servers of the group", len(group.Servers), 4)
	firewall, _, err := r.client.Firewall.GetByID(r.ctx, r.firewall.ID)
	check(err, "firewall")
	equal("servers of the firewall", len(firewall.AppliedTo), 4)

	_, response, err := r.client.Server.GetByName(r.ctx, "nobody")
	check(err, "a server that is not there")
	equal("requests an hour", response.Meta.Ratelimit.Limit, 3600)
	equal("requests are left", response.Meta.Ratelimit.Remaining > 0, true)
	none, _, err := r.client.Server.GetByID(r.ctx, 1)
	check(err, "an id that is not there")
	equal("an id that is not there", none == nil, true)
	// The pattern the real provider polls with.
	actions, err := r.client.Server.AllWithOpts(r.ctx, hcloud.ServerListOpts{Name: "go-kafka-0"})
	check(err, "server by name")
	equal("servers of the name", len(actions), 1)
}

func (r *run) change() {
	control := r.servers["k3s-control"]
	r.one(r.client.Server.Poweroff(r.ctx, control))("power off")
	server, _, err := r.client.Server.GetByID(r.ctx, control.ID)
	check(err, "server")
	equal("status", server.Status, hcloud.ServerStatusOff)

	// A second address for a server that is off, in place of the first.
	ip, _, err := r.client.PrimaryIP.Create(r.ctx, hcloud.PrimaryIPCreateOpts{Name: "check-go", Type: hcloud.PrimaryIPTypeIPv4, Location: "fsn1", Labels: labels, AutoDelete: hcloud.Ptr(false)})
	check(err, "primary IP")
	equal("assignee of a new address", ip.PrimaryIP.AssigneeID, int64(0))
	equal("assignee type of a new address", ip.PrimaryIP.AssigneeType, "unassigned")
	assign := hcloud.PrimaryIPAssignOpts{ID: ip.PrimaryIP.ID, AssigneeID: control.ID, AssigneeType: "server"}
	_, _, err = r.client.PrimaryIP.Assign(r.ctx, assign)
	refused(err, hcloud.ErrorCodeServerHasIPv4, "a second IPv4 address")
	first := server.PublicNet.IPv4.ID
	r.one(r.client.PrimaryIP.Unassign(r.ctx, first))("the first address is taken off")
	r.one(r.client.PrimaryIP.Assign(r.ctx, assign))("the second address is assigned")
	_, err = r.client.PrimaryIP.Delete(r.ctx, ip.PrimaryIP)
	refused(err, "must_be_unassigned", "deleting an address in use")
	_, err = r.client.PrimaryIP.Delete(r.ctx, &hcloud.PrimaryIP{ID: first})
	check(err, "the first address is deleted")
	r.one(r.client.Server.Poweron(r.ctx, control))("power on")
	r.one(r.client.Server.Reboot(r.ctx, control))("reboot")

	pointer := "k3s-control.example.org"
	r.one(r.client.Server.ChangeDNSPtr(r.ctx, control, ip.PrimaryIP.IP.String(), &pointer))("reverse DNS")
	r.one(r.client.Server.ChangeAliasIPs(r.ctx, control, hcloud.ServerChangeAliasIPsOpts{Network: r.network, AliasIPs: []net.IP{net.ParseIP("10.0.1.99")}}))("alias address")
	server, _, err = r.client.Server.Update(r.ctx, control, hcloud.ServerUpdateOpts{Name: "go-renamed", Labels: map[string]string{"role": "other"}})
	check(err, "update")
	equal("new name", server.Name, "go-renamed")
	equal("reverse DNS", server.PublicNet.IPv4.DNSPtr, pointer)
	equal("alias addresses", len(server.PrivateNet[0].Aliases), 1)

	protection := hcloud.ServerChangeProtectionOpts{Delete: hcloud.Ptr(true), Rebuild: hcloud.Ptr(true)}
	r.one(r.client.Server.ChangeProtection(r.ctx, control, protection))("protection")
	_, _, err = r.client.Server.DeleteWithResult(r.ctx, control)
	refused(err, hcloud.ErrorCodeProtected, "deleting a protected server")
	protection = hcloud.ServerChangeProtectionOpts{Delete: hcloud.Ptr(false), Rebuild: hcloud.Ptr(false)}
	r.one(r.client.Server.ChangeProtection(r.ctx, control, protection))("protection taken off")

	// As an admin's address is let in for an hour and shut out again.
	actions, _, err := r.client.Firewall.SetRules(r.ctx, r.firewall, hcloud.FirewallSetRulesOpts{Rules: []hcloud.FirewallRule{rule("22", "SSH"), rule("6443", "Kubernetes API")}})
	check(err, "rules")
	r.wait("rules", actions...)
	selected := []hcloud.FirewallResource{{
		Type:          hcloud.FirewallResourceTypeLabelSelector,
		LabelSelector: &hcloud.FirewallResourceLabelSelector{Selector: "role=other"},
	}}
	actions, _, err = r.client.Firewall.ApplyResources(r.ctx, r.firewall, selected)
	check(err, "apply by label")
	r.wait("apply by label", actions...)
	actions, _, err = r.client.Firewall.RemoveResources(r.ctx, r.firewall, selected)
	check(err, "remove by label")
	r.wait("remove by label", actions...)
	_, err = r.client.Firewall.Delete(r.ctx, r.firewall)
	refused(err, hcloud.ErrorCodeResourceInUse, "deleting a firewall in use")
	_, _, err = r.client.Network.DeleteSubnet(r.ctx, r.network, hcloud.NetworkDeleteSubnetOpts{Subnet: r.subnet})
	refused(err, hcloud.ErrorCodeServiceError, "deleting a subnet in use")
}

func (r *run) destroy() {
	r.one(r.client.Server.DetachFromNetwork(r.ctx, r.servers["kafka-2"], hcloud.ServerDetachFromNetworkOpts{Network: r.network}))("detach")
	deletions := []*hcloud.Action{}
	for name, server := range r.servers {
		result, _, err := r.client.Server.DeleteWithResult(r.ctx, server)
		check(err, "deleting "+name)
		deletions = append(deletions, result.Action)
	}
	r.wait("deletions", deletions...)
	r.one(r.client.Network.DeleteSubnet(r.ctx, r.network, hcloud.NetworkDeleteSubnetOpts{Subnet: r.subnet}))("subnet removed")
	_, err := r.client.Network.Delete(r.ctx, r.network)
	check(err, "network removed")
	_, err = r.client.Firewall.Delete(r.ctx, r.firewall)
	check(err, "firewall removed")
	_, err = r.client.PlacementGroup.Delete(r.ctx, r.group)
	check(err, "placement group removed")
	_, err = r.client.SSHKey.Delete(r.ctx, r.key)
	check(err, "SSH key removed")
	// This one was not to go with its server, and bills until it is deleted.
	ips, err := r.client.PrimaryIP.All(r.ctx)
	check(err, "primary IPs")
	equal("addresses that are left", len(ips), 1)
	_, err = r.client.PrimaryIP.Delete(r.ctx, ips[0])
	check(err, "the last address is removed")
}

func (r *run) nothingIsLeft() {
	servers, err := r.client.Server.All(r.ctx)
	check(err, "servers")
	networks, err := r.client.Network.All(r.ctx)
	check(err, "networks")
	firewalls, err := r.client.Firewall.All(r.ctx)
	check(err, "firewalls")
	keys, err := r.client.SSHKey.All(r.ctx)
	check(err, "SSH keys")
	groups, err := r.client.PlacementGroup.All(r.ctx)
	check(err, "placement groups")
	ips, err := r.client.PrimaryIP.All(r.ctx)
	check(err, "primary IPs")
	volumes, err := r.client.Volume.All(r.ctx)
	check(err, "volumes")
	balancers, err := r.client.LoadBalancer.All(r.ctx)
	check(err, "load balancers")
	left := len(servers) + len(networks) + len(firewalls) + len(keys) + len(groups) + len(ips) + len(volumes) + len(balancers)
	equal("resources that are left", left, 0)

	wrong := hcloud.NewClient(hcloud.WithToken(strings.Repeat("0", 64)), hcloud.WithEndpoint(r.endpoint))
	_, err = wrong.Server.All(r.ctx)
	refused(err, hcloud.ErrorCodeUnauthorized, "a wrong token")
}

func main() {
	if len(os.Args) != 2 {
		fail("usage: go run . ENDPOINT, with the token in HCLOUD_TOKEN")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	r := &run{
		ctx:      ctx,
		endpoint: os.Args[1],
		client: hcloud.NewClient(
			hcloud.WithToken(os.Getenv("HCLOUD_TOKEN")),
			hcloud.WithEndpoint(os.Args[1]),
			hcloud.WithApplication("trading-platform-check", "1"),
			// The defaults wait seconds between looks; what is looked at is the same.
			hcloud.WithPollOpts(hcloud.PollOpts{BackoffFunc: hcloud.ConstantBackoff(50 * time.Millisecond)}),
			hcloud.WithRetryOpts(hcloud.RetryOpts{BackoffFunc: hcloud.ConstantBackoff(50 * time.Millisecond), MaxRetries: 5}),
		),
	}
	steps := []struct {
		name string
		do   func()
	}{
		{"what can be ordered", r.catalog},
		{"SSH key, network, subnet, route, firewall, placement group", r.foundations},
		{"four servers at once, and what cannot be had", r.create},
		{"lists, pages, filters, members, rate limit", r.look},
		{"power, addresses, names, protection, firewall", r.change},
		{"everything is removed", r.destroy},
		{"nothing is left", r.nothingIsLeft},
	}
	for _, step := range steps {
		fmt.Printf("go client: %s\n", step.name)
		step.do()
	}
	fmt.Println("go client: done")
}
