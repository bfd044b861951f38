/** System images, from GET /v1/images. Ids follow the public listing; programs must not rely on them. */

/** A system image. */
export interface Image {
  id: number;
  name: string;
  description: string;
  os_flavor: "ubuntu" | "debian";
  os_version: string;
  architecture: "x86" | "arm";
  /** When it was announced that it will go; null while it is current. */
  deprecated: string | null;
  created: string;
}

export const images: readonly Image[] = [
  {
    id: 45557056,
    name: "debian-11",
    description: "Debian 11",
    os_flavor: "debian",
    os_version: "11",
    architecture: "x86",
    deprecated: "2026-06-30T00:00:00+00:00",
    created: "2021-08-16T11:12:01+00:00",
  },
  {
    id: 114690387,
    name: "debian-12",
    description: "Debian 12",
    os_flavor: "debian",
    os_version: "12",
    architecture: "x86",
    deprecated: null,
    created: "2023-06-13T06:00:02+00:00",
  },
  {
    id: 67794396,
    name: "ubuntu-22.04",
    description: "Ubuntu 22.04",
    os_flavor: "ubuntu",
    os_version: "22.04",
    architecture: "x86",
    deprecated: null,
    created: "2022-04-21T13:32:38+00:00",
  },
  {
    id: 161547269,
    name: "ubuntu-24.04",
    description: "Ubuntu 24.04",
    os_flavor: "ubuntu",
    os_version: "24.04",
    architecture: "x86",
    deprecated: null,
    created: "2024-04-25T13:26:27+00:00",
  },
  {
    id: 161547270,
    name: "ubuntu-24.04",
    description: "Ubuntu 24.04",
    os_flavor: "ubuntu",
    os_version: "24.04",
    architecture: "arm",
    deprecated: null,
    created: "2024-04-25T13:26:51+00:00",
  },
];

function monthsLater(time: string, months: number): string {
  const date = new Date(time);
  date.setUTCMonth(date.getUTCMonth() + months);
  return date.toISOString();
}

/** An image as the API shows it. */
export function imageView(image: Image) {
  return {
    ...image,
    // The system images of the listing say three months: https://docs.hetzner.cloud/reference/cloud#images
    deprecation:
      image.deprecated === null
        ? null
        : { announced: image.deprecated, unavailable_after: monthsLater(image.deprecated, 3) },
    type: "system",
    status: "available",
    image_size: null,
    disk_size: 5,
    bound_to: null,
    created_from: null,
    deleted: null,
    labels: {},
    protection: { delete: false },
    rapid_deploy: true,
  };
}
