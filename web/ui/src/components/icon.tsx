/** Small drawings, 24 units wide, in the colour of the text around them. */

const PATHS = {
  send: "M12 19V5m-6 6 6-6 6 6",
  stop: "M7 7h10v10H7z",
  copy: "M9 9h10v10H9zM5 15V5h10",
  done: "m5 12 5 5 9-10",
  again: "M20 11a8 8 0 1 0-2.3 6.3M20 4v7h-7",
  left: "m14 6-6 6 6 6",
  right: "m10 6 6 6-6 6",
  down: "M12 5v14m-6-6 6 6 6-6",
  more: "M4.5 12h1m6 0h1m6 0h1",
  plus: "M12 5v14M5 12h14",
  close: "m6 6 12 12M18 6 6 18",
  alert: "M12 8v5m0 3.5v.01M12 3.5 2.5 20h19z",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
  system: "M4 5h16v11H4zM9 20h6m-3-4v4",
  light: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2m0 16v2M4.9 4.9l1.4 1.4m11.4 11.4 1.4 1.4M2 12h2m16 0h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4",
  dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5m4-5v5",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l4.5 4.5",
  up: "m6 15 6-6 6 6",
  below: "m6 9 6 6 6-6",
  chats: "M4 5h16v14H4zM10 5v14",
  info: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 11v5.5M12 7.5v.01",
  thought: "M12 3a6 6 0 0 0-3.5 10.9V17h7v-3.1A6 6 0 0 0 12 3zM9.5 20.5h5",
  stages: "M3 12h4m4 0h2m4 0h4M7 9h4v6H7zM13 9h4v6h-4z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
