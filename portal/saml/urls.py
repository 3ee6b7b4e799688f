"""The addresses of SAML sign-on, under the names that djangosaml2 gives them."""

from django.urls import path

from portal.saml import logout_views, views

urlpatterns = [
    path("login/", views.LoginView.as_view(), name="saml2_login"),
    path("acs/", views.AssertionConsumerServiceView.as_view(), name="saml2_acs"),
    path("metadata/", views.metadata, name="saml2_metadata"),
    path("ls/", logout_views.single_logout, name="saml2_ls"),
]
