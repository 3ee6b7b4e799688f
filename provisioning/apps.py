"""The middle floor: make AWS agree with what the floor below says."""

from django.apps import AppConfig


class ProvisioningConfig(AppConfig):
    name = "provisioning"
    verbose_name = "Provisioning"

    def ready(self) -> None:
        from provisioning import receivers  # noqa: F401  (connects the receivers)
        from provisioning.aws.shapes import faults
        from teams import shapes

        shapes.register(faults)
