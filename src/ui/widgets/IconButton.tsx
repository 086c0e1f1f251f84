/** A button that shows an icon and says its name: to a screen reader always, to everybody on hover or focus. */
import { ActionIcon, Tooltip } from '@mantine/core';
import type { ComponentProps, ReactElement } from 'react';
import { Icon, type IconName } from './Icon';

type ActionIconProps = ComponentProps<typeof ActionIcon<'button'>>;

export interface IconButtonProps extends Omit<ActionIconProps, 'children' | 'aria-label'> {
  readonly icon: IconName;
  readonly label: string;
  /** Edge of the icon in pixels. */
  readonly iconSize?: number;
}

export function IconButton({ icon, label, iconSize = 18, ...rest }: IconButtonProps): ReactElement {
  return (
    <Tooltip label={label} openDelay={400} events={{ hover: true, focus: true, touch: false }}>
      <ActionIcon variant="subtle" color="gray" size="lg" {...rest} aria-label={label}>
        <Icon name={icon} size={iconSize} />
      </ActionIcon>
    </Tooltip>
  );
}
