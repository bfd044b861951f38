package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Longer than any day of the lab, too short to be of use to anybody who finds one.
const certificateLifetime = 24 * time.Hour

// Who the control plane's certificates are for. The organization is the group that RBAC sees.
var identities = []struct{ file, name, group string }{
	{"server", "kube-apiserver", ""},
	{"admin", "admin", "system:masters"},
	{"controller-manager", "system:kube-controller-manager", ""},
	{"scheduler", "system:kube-scheduler", ""},
	{"kwok", "kwok", "system:masters"},
}

// writeCertificates makes an authority and a certificate for each identity: <name>.crt and <name>.key, mode 0600, in PEM.
// All of them are for servers and clients on loopback. The authority's key is thrown away.
func writeCertificates(directory string) error {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	authority := template("lab control plane", "", 1)
	authority.IsCA = true
	authority.BasicConstraintsValid = true
	authority.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	encoded, err := x509.CreateCertificate(rand.Reader, authority, authority, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		return err
	}
	if err := writePem(filepath.Join(directory, "authority.crt"), "CERTIFICATE", encoded); err != nil {
		return err
	}
	for number, identity := range identities {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		certificate := template(identity.name, identity.group, int64(number)+2)
		certificate.KeyUsage = x509.KeyUsageDigitalSignature
		certificate.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		certificate.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		certificate.DNSNames = []string{"localhost", "kubernetes.default.svc"}
		encoded, err := x509.CreateCertificate(rand.Reader, certificate, authority, &key.PublicKey, authorityKey)
		if err != nil {
			return err
		}
		encodedKey, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		file := filepath.Join(directory, identity.file)
		if err := writePem(file+".crt", "CERTIFICATE", encoded); err != nil {
			return err
		}
		if err := writePem(file+".key", "PRIVATE KEY", encodedKey); err != nil {
			return err
		}
	}
	return nil
}

func template(name, group string, serial int64) *x509.Certificate {
	subject := pkix.Name{CommonName: name}
	if group != "" {
		subject.Organization = []string{group}
	}
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      subject,
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(certificateLifetime),
	}
}

func writePem(file, kind string, content []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600)
}
