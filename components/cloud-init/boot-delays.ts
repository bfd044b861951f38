/** What a fresh Ubuntu 24.04 does by itself and a machine that lives for a day does not need. */

/**
 * Units that take the processor, the disk, the network or apt's lock while the node is set up, or later beside its
 * brokers. Ubuntu's server image enables them; one that an image does not have is masked all the same.
 */
const unwanted = [
  // Package lists, upgrades and what hangs on them; they hold dpkg's lock.
  "apt-daily.timer",
  "apt-daily-upgrade.timer",
  "apt-daily.service",
  "apt-daily-upgrade.service",
  "unattended-upgrades.service",
  "apt-news.service",
  "esm-cache.service",
  "update-notifier-download.timer",
  "update-notifier-motd.timer",
  "ua-timer.timer",
  "dpkg-db-backup.timer",
  // Refreshes itself at any hour; cloud-init's last stage waits for its seeding.
  "snapd.seeded.service",
  "snapd.socket",
  "snapd.service",
  "snapd.snap-repair.timer",
  "motd-news.timer",
  "man-db.timer",
  "fwupd-refresh.timer",
  "e2scrub_all.timer",
  // No disk has two paths here.
  "multipathd.socket",
  "multipathd.service",
];

/**
 * Shell line that turns them off; never fails. `--no-block`: what it stops must not be waited for. Without the file
 * man-db's index is not built anew by each package that is installed.
 */
export const withoutBootDelays = [
  `systemctl mask --now --no-block ${unwanted.join(" ")}`,
  "rm -f /var/lib/man-db/auto-update",
  "true",
].join("; ");
