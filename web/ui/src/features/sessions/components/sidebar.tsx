import type { ReactNode } from "react";
import { Icon } from "@/components/icon";
import { useModal } from "@/components/use-modal";

type Props = {
  /** Beside the chat on a wide screen, above it on a narrow one. */
  isBeside: boolean;
  onClose: () => void;
  children: ReactNode;
};

/** Holds the list of chats. */
export function Sidebar({ isBeside, onClose, children }: Props) {
  return isBeside ? (
    <nav className="sidebar" aria-label="Your chats">
      <div className="sidebar-head">
        <h2>Your chats</h2>
      </div>
      {children}
    </nav>
  ) : (
    <Drawer onClose={onClose}>{children}</Drawer>
  );
}

function Drawer({ onClose, children }: Omit<Props, "isBeside">) {
  const modal = useModal(onClose);
  // A press beside the drawer meets the dialog itself, whose content covers all of it.
  return (
    <dialog
      {...modal}
      className="drawer"
      aria-label="Your chats"
      onClick={(event) => event.target === modal.ref.current && onClose()}
    >
      <nav className="sidebar" aria-label="Your chats">
        <div className="sidebar-head">
          <h2>Your chats</h2>
          <button type="button" className="quiet" aria-label="Close" title="Close" onClick={onClose}>
            <Icon name="close" />
          </button>
        </div>
        {children}
      </nav>
    </dialog>
  );
}
