// One binary for the five programs of the lab's control plane: the first argument says which one it is. "certificates" makes
// what they trust each other by.
//
// They share nearly all of their packages, so one link instead of five is what makes a cold build bearable. (k3s is
// made the same way.) A process runs one of them only, with that program's own flags and behaviour.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // its metrics count the requests that a client makes
	_ "k8s.io/component-base/metrics/prometheus/version"  // the metric kubernetes_build_info
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	"sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"
)

func main() {
	if len(os.Args) < 2 {
		fail("which program? etcd, kube-apiserver, kube-controller-manager, kube-scheduler or kwok")
	}
	program := os.Args[1]
	// From here on it looks as if the program had been started by its own name.
	os.Args = append([]string{program}, os.Args[2:]...)
	switch program {
	case "certificates":
		if len(os.Args) != 2 {
			fail("certificates: expected the folder to write to")
		}
		if err := writeCertificates(os.Args[1]); err != nil {
			fail(err.Error())
		}
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(manager.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "kwok":
		runKwok()
	default:
		fail("no program is called " + program)
	}
}

// runKwok does what kwok's own main does: https://github.com/kubernetes-sigs/kwok/blob/v0.8.0/cmd/kwok/main.go.
func runKwok() {
	// Packages of the other programs register flags of theirs, "version" among them, for whoever runs.
	pflag.CommandLine = pflag.NewFlagSet("kwok", pflag.ContinueOnError)
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx := signals.SetupSignalContext()
	ctx, _ = log.InitFlags(ctx, flags)
	ctx, err := config.InitFlags(ctx, flags)
	if err != nil {
		fail(err.Error())
	}
	command := kwok.NewCommand(ctx)
	command.PersistentFlags().AddFlagSet(flags)
	if err := command.ExecuteContext(ctx); err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
